"""What agents call: a model API that throttles and breaks as the real ones do, and a tool server."""
