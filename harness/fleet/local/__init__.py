"""A fleet whose containers are processes of this machine."""
