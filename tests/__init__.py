"""Tests of agentrig."""
