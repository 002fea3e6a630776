"""Chooses and schedules drills: what calendars mean, what is due, what is worth most. It imports the core alone."""
