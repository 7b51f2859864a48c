"""Tests of the experiment stage."""
