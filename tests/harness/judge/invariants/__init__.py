"""Each invariant on an empty, a good and a bad history."""
