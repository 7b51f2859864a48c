"""The reference agent: stateless, busy-aware and safe to retry, on Strands Agents and FastAPI."""
