"""Tests of the judge: verdicts on histories written by hand."""
