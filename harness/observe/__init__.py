"""What happens in production? The same invariants on the traces of a live system, from spans alone."""
