"""Pictures of the documentation, and what takes them."""
