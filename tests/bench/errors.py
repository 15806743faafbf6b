"""Errors that end a benchmark."""


class BenchError(Exception):
    """The benchmark can't produce a valid result: for example, a job failed or timed out."""
