"""What `harness.load.scenario` is made of: arrival plans, tallies, limits, and the ties to Locust."""
