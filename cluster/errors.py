"""The one error that the user is meant to read."""


class ClusterError(Exception):
    """What failed, what is missing and how to get it; printed as it stands, without a traceback."""
