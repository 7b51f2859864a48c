"""Calls the agents: open arrivals planned beforehand, sent by Locust, every answer recorded exactly."""
