"""What is known of checks and services, and what cannot be seen."""
