"""The errors of the client. All of them are subclasses of VisionNodeError."""

IMAGE_REASONS = frozenset(
    {"EmptyFile", "ImageTooLarge", "ImageUnreadable", "NameInvalid", "UnsupportedFormat"}
)
"""Reasons of refusals that are about one image."""


class VisionNodeError(Exception):
    """An error with a message for the user."""


class ProblemError(VisionNodeError):
    """The server refused a request, and said why in a problem document (RFC 9457).

    Args:
        status: HTTP status code.
        reason: Word in CamelCase that programs can act on, such as `UnsupportedFormat`. If the
            response is no problem document, for example because a proxy sent it, this is the
            phrase of the status code, such as `BadGateway`.
        detail: What happened, and what to do.
        retry_after: After how many seconds the server may accept the request; None if it does not
            say so.
    """

    def __init__(
        self, status: int, reason: str, detail: str, retry_after: float | None = None
    ) -> None:
        super().__init__(f"{reason}: {detail}")

        self.status = status
        self.reason = reason
        self.detail = detail
        self.retry_after = retry_after

    @property
    def concerns_image(self) -> bool:
        """Whether it is about the image that was sent. Other images may be accepted."""
        is_refused = self.status in {413, 415} and self.reason != "TooManyImages"
        return is_refused or self.reason in IMAGE_REASONS


class UnreachableError(VisionNodeError, ConnectionError):
    """The server did not respond, or the connection was lost, and retrying did not help."""


class ProtocolError(VisionNodeError):
    """The response is not what a vision-node server sends. The URL may be wrong."""


class JobFailedError(VisionNodeError):
    """An image was not described.

    Args:
        job_id: The job.
        reason: Word in CamelCase that programs can act on, such as `ImageUnreadable`.
        message: What happened, and what to do.
    """

    def __init__(self, job_id: str, reason: str, message: str) -> None:
        super().__init__(f"{reason}: {message}")

        self.job_id = job_id
        self.reason = reason
        self.message = message


class WaitTimeoutError(VisionNodeError, TimeoutError):
    """A job or a batch was not finished in time. It continues on the server."""
