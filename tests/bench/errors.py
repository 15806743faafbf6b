"""Errors that end a benchmark."""


class BenchError(Exception):
    """The benchmark has no valid result, for example because a job failed or timed out."""
