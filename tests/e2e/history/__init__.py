"""Tests of the history in PostgreSQL, on the real system."""
