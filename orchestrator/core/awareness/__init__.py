"""What a controller sees, what it cannot see or do, and who is told of that."""
