"""How an agent is asked, and what its answer says: for whoever asks, a load or a single look."""
