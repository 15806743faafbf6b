"""Errors that occur while an ImageBatch is being frozen."""


class SourceRefusedError(Exception):
    """The source of an ImageBatch has no usable list of images, so the batch fails.

    Args:
        reason: Machine-readable reason, for the condition Failed.
        message: What is wrong, and what to do.
    """

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(message)
        self.reason = reason
        self.message = message


class BatchGoneError(Exception):
    """The ImageBatch was deleted, or another one has its name."""


class AttemptLostError(Exception):
    """The folder has objects of another attempt, so the next attempt needs another folder."""


class SourceChangedError(Exception):
    """The list of images was replaced while it was being read."""
