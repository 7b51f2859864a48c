"""Starts the processes of an experiment (agents, balancer and what they talk to) and stops them all."""
