"""Fault tests (`make test-faults`): kill components under load, and then check the history."""
