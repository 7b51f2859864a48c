"""What Acme adds to agentrig: a check, a fault, a protocol, a source of spans and a dialect."""
