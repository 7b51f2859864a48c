"""A page of traces: what the capture has, searched, drawn and compared, without Jaeger."""
