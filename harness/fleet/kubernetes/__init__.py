"""A fleet whose agents are pods of a cluster that runs on this machine, each from an image."""
