"""What a person types: one command a file, and what the commands share."""
