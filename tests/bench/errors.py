"""What ends a benchmark."""


class BenchError(Exception):
    """A measurement that would mean nothing: a job failed, or something did not start in time."""
