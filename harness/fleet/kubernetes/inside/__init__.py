"""A whole run inside a cluster: the bench is a pod there, and what it measured comes back here."""
