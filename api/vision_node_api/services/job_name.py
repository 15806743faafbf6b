"""Create and validate the names of ImageJobs, which are the API's job ids."""

import base64
import hashlib
import re
import secrets

_SEED_BYTES = 20
"""Number of random bytes in a name. Base32 encodes them as 32 characters without padding."""

_NAME = re.compile(r"[a-z0-9]([-a-z0-9.]{0,251}[a-z0-9])?")


def new_job_name(idempotency_key: str | None, owner: str = "") -> str:
    """Return the name of a new ImageJob.

    If there is an idempotency key, the name is derived from it and from the owner, so that the API
    server refuses to create a second ImageJob for the same key. Otherwise, the name is random.
    """
    return f"job-{request_id(idempotency_key, owner)}"


def request_id(idempotency_key: str | None, owner: str = "") -> str:
    """Return an id of a request: the same for the same idempotency key, and else a random one.

    Keys of different owners are different. The id has 32 lowercase letters and digits.
    """
    if idempotency_key:
        # Neither an owner nor a header contains a NUL.
        text = f"{owner}\0{idempotency_key}" if owner else idempotency_key
        seed = hashlib.sha256(text.encode()).digest()[:_SEED_BYTES]
    else:
        seed = secrets.token_bytes(_SEED_BYTES)

    return base64.b32encode(seed).decode().lower()


def is_job_name(text: str) -> bool:
    """Return whether an ImageJob can have this name."""
    return bool(_NAME.fullmatch(text))
