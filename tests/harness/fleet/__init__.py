"""Tests of the fleet stage."""
