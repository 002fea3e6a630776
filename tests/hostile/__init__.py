"""Texts of strangers, on every way in and every way out."""
