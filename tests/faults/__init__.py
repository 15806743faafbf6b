"""`make test-faults`: parts are killed under load, and a checker reads the history."""
