"""Tells what happened and what is happening: folds over the journal's entries, rendered as text, JSON and a page."""
