"""Overrides: lessons with an edge become multipliers. Data in, data out."""
