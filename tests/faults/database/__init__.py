"""Faults of PostgreSQL, and the check of what it has kept."""
