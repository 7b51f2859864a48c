"""What `harness.load.scenario` is made of; `README.md` maps it onto Locust's events and messages."""
