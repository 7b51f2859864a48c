"""What a Python agent finds at its start, so that it becomes a copy of one snapshot: `sitecustomize`."""
