"""What a controller sees, and what it cannot see or do; who is told of that."""
