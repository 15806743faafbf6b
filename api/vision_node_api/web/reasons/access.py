"""Reasons that concern who sends a request, and API keys."""

from .entry import ReasonEntry

ACCESS = (
    ReasonEntry(
        "Unauthenticated",
        (401,),
        "No valid API key or token",
        "The request has no key or token, or one that is misspelled, unknown, expired or revoked. "
        "The response is the same for all of these.",
        "Send a key in the header `Authorization: Bearer vn_…`, once. Ask an administrator for a "
        "key, or create a token with `kubectl create token` if the release accepts tokens.",
    ),
    ReasonEntry(
        "Forbidden",
        (403,),
        "The key may not do this",
        "The key or token is valid, but lacks the scope that the request needs.",
        "Use a key with the scope that the detail names, or ask an administrator for one. GET "
        "/whoami lists the scopes of a key.",
    ),
    ReasonEntry(
        "OriginNotAllowed",
        (403,),
        "The request does not come from the API's own page",
        "A request with a session of the page, or one to log in or out, comes from another page, "
        "or does not say where it comes from.",
        "Open the page at the address at which the API is reached. Let a proxy pass on Host, or "
        "list it in `api.proxy.trusted`. Programs send their key in the header `Authorization` "
        "with each request, without a cookie.",
    ),
    ReasonEntry(
        "SessionTooLong",
        (422,),
        "The session does not fit into a cookie",
        "The Kubernetes user whose token was sent to log in is in too many groups.",
        "Log in with an API key.",
    ),
    ReasonEntry(
        "AuthenticationUnavailable",
        (503,),
        "Keys or tokens can't be checked now",
        "The replica has not read the API keys yet, or the Kubernetes API server could not be "
        "asked about a token, an unknown key or session, or a change of the keys. Known keys go on "
        "working. Or the Secret with the keys was deleted, which the detail says: then no key "
        "and no session works.",
        "Send the request again after the time in Retry-After. If this lasts, an administrator "
        "should look at the API's log, and restore the Secret or upgrade the release if it was "
        "deleted.",
        repeatable=True,
    ),
    ReasonEntry(
        "AuthenticationDisabled",
        (501,),
        "The release has no API keys",
        "Clients of this release are not authenticated, so there are no keys.",
        "An administrator can set `auth.enabled=true` in the chart's values.",
    ),
    ReasonEntry(
        "KeyNotFound",
        (404,),
        "There is no such API key",
        "No API key has this id. It may have been revoked.",
        "Check the id. GET /keys lists all keys.",
    ),
    ReasonEntry(
        "TooManyKeys",
        (409,),
        "There are too many API keys",
        "The release has the maximum number of API keys, all of which are in one Secret.",
        "Revoke keys that have expired or are no longer used, with DELETE /keys/{id}.",
    ),
)
