"""What must hold, and no run asks for: one invariant a file. The others are those of `harness/judge`."""
