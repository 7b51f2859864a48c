"""Tests of black-box conformance."""
