"""Tests of the analysis: figures from histories written by hand."""
