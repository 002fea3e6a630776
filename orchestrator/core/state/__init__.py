"""What is decided: a fold over records."""
