"""A fleet whose agents are containers of an engine, Docker's or Podman's, each from an image."""
