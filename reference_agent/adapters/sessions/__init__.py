"""Where conversations live: outside the container, so that any container may get the next request."""
