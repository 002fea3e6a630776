"""What is done: incidents from their opening to their end, and what people say."""
