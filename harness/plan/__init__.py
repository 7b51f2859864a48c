"""How many containers? A simulation of a fleet, held against theory, and against a real one."""
