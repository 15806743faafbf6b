"""Compare entity tags (RFC 9110, section 8.8.3), so that clients get nothing that they have."""

_WEAK = "W/"


def is_known(etag: str, if_none_match: str | None) -> bool:
    """Return whether a client has the version with this entity tag.

    Args:
        etag: The entity tag, with its quotes.
        if_none_match: The request's If-None-Match; None if it has none.
    """
    if if_none_match is None:
        return False

    known = {tag.strip().removeprefix(_WEAK) for tag in if_none_match.split(",")}
    return "*" in known or etag in known
