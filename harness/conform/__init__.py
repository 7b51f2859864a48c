"""Black-box conformance: does a running container speak the contract of the AgentCore Runtime?"""
