"""Errors that end a benchmark."""


class BenchError(Exception):
    """The measurement is invalid: a job failed, or something did not start in time."""
