"""The three patterns: one small standard-library file each, made to be copied into your agent."""
