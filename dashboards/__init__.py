"""What shows a fleet while it runs: Prometheus, Grafana, Envoy, Jaeger, Kubernetes."""
