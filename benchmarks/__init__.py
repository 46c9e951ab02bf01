"""Measurements against other registration programs."""
