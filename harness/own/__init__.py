"""A user's own agent: the file that describes it, and the experiments that are made with it."""
