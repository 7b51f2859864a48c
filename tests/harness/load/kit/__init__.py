"""Tests of what locustfiles are made of."""
