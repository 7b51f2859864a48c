"""What runs: simulator, tool server, capture, agents and balancer, started and stopped as one."""
