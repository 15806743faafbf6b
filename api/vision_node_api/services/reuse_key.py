"""The key that is the same for all submissions that would get the same result."""

import hashlib
import json

from vision_node_contract.models.describer import Describer
from vision_node_contract.models.imagejob import ImageJobSpec

KEY_CHARACTERS = 32
"""Length of a key in hexadecimal digits, which is 128 bits of a SHA-256."""

_STATE = frozenset(
    {"provider", "model", "options", "image", "command", "env", "env_from", "sidecar"}
)
"""Fields of a Describer's spec that change its descriptions. The others say how many workers there
are, where they run, and how often and for how long an image is tried."""


def reuse_key(owner: str, spec: ImageJobSpec, describer: Describer, workers_revision: str) -> str:
    """Return the key of a submission.

    The Describer's state is part of it, so no result is reused after a change to its model or its
    options. Contents of Secrets and ConfigMaps that it names are not known to the API.

    Args:
        owner: The value of the label vision-node.dev/owner; empty without one.
        spec: The ImageJob's spec. Of the image, only the SHA-256 counts.
        describer: The Describer that the spec names.
        workers_revision: Hash of what the chart sets for the workers of all Describers.
    """
    options = spec.options.model_dump(exclude_none=True) if spec.options else {}
    state = describer.spec.model_dump(mode="json", include=set(_STATE))
    state["provider"] = describer.provider
    parts = [owner, spec.image.sha256, options, spec.describer, state, workers_revision]

    text = json.dumps(parts, sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:KEY_CHARACTERS]
