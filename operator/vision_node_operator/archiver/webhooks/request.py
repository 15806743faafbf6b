"""Write the request for a message: its headers, with the signature, and its body."""

import logging
from datetime import timedelta

from vision_node_contract.callbacks.messages import (
    BatchMessage,
    JobMessage,
    batch_message,
    job_message,
)
from vision_node_contract.models.imagebatch import ImageBatch
from vision_node_contract.models.imagejob import ImageJob

from .claims import Claim
from .signing import signature

log = logging.getLogger(__name__)


def headers_of(message_id: str, timestamp: int, body: bytes, keys: list[bytes]) -> dict[str, str]:
    """Return the headers of a request. `timestamp` is the time of the attempt, in Unix seconds."""
    return {
        "Content-Type": "application/json",
        "Accept-Encoding": "identity",
        "User-Agent": "vision-node",
        "webhook-id": message_id,
        "webhook-timestamp": str(timestamp),
        "webhook-signature": signature(keys, message_id, timestamp, body),
    }


def body_of(claim: Claim, kept: timedelta | None) -> bytes | None:
    """Return the body of a request: the same for each attempt.

    None if the job was deleted meanwhile, or if this release can't read it.
    """
    for result in (claim.result, None):
        try:
            message = _message(claim, result, kept)
            return message.model_dump_json().encode() if message else None
        except ValueError as error:
            log.warning("message %s can't be written: %s", claim.id, type(error).__name__)

    return None


def _message(
    claim: Claim, result: str | None, kept: timedelta | None
) -> JobMessage | BatchMessage | None:
    if claim.body is None or claim.ended is None:
        return None
    if claim.is_batch:
        return batch_message(ImageBatch.model_validate_json(claim.body), claim.ended, kept)

    return job_message(ImageJob.model_validate_json(claim.body), result, claim.ended, kept)
