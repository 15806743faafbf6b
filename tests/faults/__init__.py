"""`make test-faults`: kill parts of the system under load, and check the history afterward."""
