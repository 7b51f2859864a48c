"""Inputs that nobody meant: made from right ones by a seed, and what has to become of them."""
