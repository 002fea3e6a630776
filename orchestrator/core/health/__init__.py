"""What is known of checks and services."""
