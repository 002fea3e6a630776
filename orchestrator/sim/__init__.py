"""A virtual world around the same core, shell, journal, schedule and classification as in production."""
