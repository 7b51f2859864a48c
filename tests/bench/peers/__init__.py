"""Ours beside the best of others, in one run: `python -m tests.bench.peers`."""
