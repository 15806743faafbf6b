"""The error type whose message is shown to the user."""


class ClusterError(Exception):
    """A failure that the user can fix. The message is printed without a traceback.

    The message says what failed, what is missing and how to get it.
    """
