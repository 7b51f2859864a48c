"""Does head answer slower than base? PASS, FAIL or INCONCLUSIVE, with error rates that are known."""
