"""How often what is wrong now and then is wrong."""

EACH_SO_MANY = 12
"""Requests, of which one is."""
