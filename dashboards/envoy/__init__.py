"""Envoy's configuration in compose.yaml: `python -m dashboards.envoy` writes it."""
