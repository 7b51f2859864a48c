"""What a container reports about itself: spans, metrics, and log lines.

Standard names where there is a convention, `agentrig.` where there is none. Configured by the standard
`OTEL_*` variables.
"""
