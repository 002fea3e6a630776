"""The operator's face: one file a verb, imported late. Nothing imports this package."""
