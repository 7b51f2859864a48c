"""For other people's tests: the model API simulator as a fixture of pytest."""
