"""The folder in the inbox that a client may use: all of it, or that of its owner."""

from vision_node_contract.bucket_keys import INBOX_PREFIX, BucketFolders
from vision_node_contract.models.reasons import Reason

from ..web.problems import Problem
from .owners import visible_owner


def client_folder(folders: BucketFolders) -> str:
    """Return the prefix of the keys in the client's folder."""
    owner = visible_owner()
    return folders.inbox if owner is None else folders.inbox_of(owner)


def client_key(key: str, folders: BucketFolders) -> str:
    """Return the key of a list of images, or a prefix of keys, that a client names as a source.

    For a client that sees only its own objects, inbox/<name> means the name in its own folder.

    Raises:
        Problem: 422 OptionsInvalid if the key is in another folder, whether it exists or not.
    """
    if visible_owner() is None:
        return key

    own = client_folder(folders)
    if within := folders.key_within(key, own):
        return within

    detail = (
        f"prefix and manifest must name keys in your own folder, {own}. Use {INBOX_PREFIX}<name> "
        "with a name that GET /inbox lists, or its `key`."
    )
    raise Problem(422, Reason.OPTIONS_INVALID, detail)
