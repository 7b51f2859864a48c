"""Tests of the fleet whose containers are processes."""
