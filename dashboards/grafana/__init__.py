"""Grafana's dashboards as code: `python -m dashboards.grafana` writes the JSON that Grafana loads."""
