"""The names of ImageBatches that clients choose, which are different for different owners."""

import hashlib

from vision_node_contract.models.reasons import Reason

from ...web.access import current_access
from ...web.problems import Problem

MAX_NAME_CHARACTERS = 253
"""Maximum length of the name of an ImageBatch, as for most objects in Kubernetes."""

SUFFIX_CHARACTERS = 10
"""Number of hexadecimal digits that tell the names of owners apart: 40 bits. Two owners who have
the same ones can't both use a name; among 10,000 owners, that happens with a probability of
0.005 %."""


def owned_name(chosen: str) -> str:
    """Return the name of the ImageBatch for which a client has chosen a name.

    The names of all owners are in one namespace. If the API used them as they are, clients could
    find out which names others have. So the name is followed by a hash of the owner, which is
    always the same, except for administrators, who see all names anyway.
    """
    access = current_access()
    if access.is_admin or not access.owner:
        return chosen

    digest = hashlib.sha256(access.owner.encode()).hexdigest()
    return f"{chosen}-{digest[:SUFFIX_CHARACTERS]}"


def new_name(chosen: str) -> str:
    """Return the name of an ImageBatch to create, for which a client has chosen a name.

    Raises:
        Problem: 422 OptionsInvalid if the name gets too long.
    """
    name = owned_name(chosen)
    if len(name) > MAX_NAME_CHARACTERS:
        longest = MAX_NAME_CHARACTERS - len(name) + len(chosen)
        detail = f"name has {len(chosen)} characters, but at most {longest} are allowed."
        raise Problem(422, Reason.OPTIONS_INVALID, detail)

    return name
