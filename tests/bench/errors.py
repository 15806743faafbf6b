"""Errors that end a benchmark."""


class BenchError(Exception):
    """The benchmark has no valid result: for example, a job failed or was not done in time."""
