"""Tests of the three patterns."""
