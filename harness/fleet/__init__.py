"""Starts what an experiment runs on (agents, balancer and what they talk to) and stops it all.

`protocol.py` says what a fleet is to those who drive one; `opening.py` opens one where it is asked for: of
processes (`local/`), or of containers of an engine (`docker/`).
"""
