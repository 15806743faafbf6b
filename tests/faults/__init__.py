"""Fault tests (`make test-faults`): kill components under load, then check the history."""
