"""Tests of the reference agent."""
