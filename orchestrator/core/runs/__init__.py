"""A run from its plan to its end: steps, one after the other."""
