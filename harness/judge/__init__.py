"""Is it good? Invariants over histories, and the three-valued verdict on them."""
