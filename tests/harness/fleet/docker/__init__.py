"""Tests of the fleet whose agents are containers of an engine."""
