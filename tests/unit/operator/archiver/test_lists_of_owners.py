"""Tests of lists of images in the folder of an owner: they may name only images in it."""

import json
from collections.abc import Callable

import pytest
from archiver_helpers import INBOX, Frozen
from fakes.batch_api import BatchApi
from fakes.s3 import S3
from vision_node_operator.archiver.freezer import Freezer

FreezerOf = Callable[..., Freezer]

ANNA, BEN = f"{INBOX}owners/anna/", f"{INBOX}owners/ben/"

LINES = [
    {"key": f"{ANNA}a.jpg"},
    {"key": "inbox/holiday/b.jpg", "customId": "b"},
    {"key": "inbox/owners/anna/c.jpg"},
    {"key": f"{BEN}secret.jpg"},
    {"key": f"{BEN}nothing.jpg", "customId": "nothing"},
    {"key": f"{INBOX}of-nobody.jpg"},
    {"key": "inbox/owners/ben/secret.jpg"},
    {"key": f"{ANNA}../ben/secret.jpg"},
]


@pytest.fixture
def lists(s3: S3) -> str:
    """The list, in the folder of an owner and in the inbox; and the images that it names."""
    text = b"\n".join(json.dumps(it).encode() for it in LINES)
    for folder in (ANNA, INBOX):
        s3.put(f"{folder}list.jsonl", text)
    for key in (f"{ANNA}a.jpg", f"{BEN}secret.jpg", f"{INBOX}of-nobody.jpg"):
        s3.put(key)
    return "list.jsonl"


async def test_list_of_an_owner_names_only_images_in_its_folder(
    api: BatchApi, freezer_of: FreezerOf, frozen: Frozen, lists: str
) -> None:
    api.create("b", manifest=ANNA + lists)

    await freezer_of().freeze("b", "u-b")

    found = [(it.custom_id, it.key, it.error.reason if it.error else None) for it in frozen("b")]
    assert found == [
        ("a.jpg", f"{ANNA}a.jpg", None),
        ("b", f"{ANNA}holiday/b.jpg", None),
        ("c.jpg", f"{ANNA}c.jpg", None),
        ("line-4/", None, "ImageNotFound"),
        ("nothing", None, "ImageNotFound"),
        ("line-6/", None, "ImageNotFound"),
        ("owners/ben/secret.jpg", f"{ANNA}owners/ben/secret.jpg", None),
        ("line-8/", None, "ManifestLineInvalid"),
    ]


async def test_error_is_the_same_whether_the_image_exists_or_not(
    api: BatchApi, freezer_of: FreezerOf, frozen: Frozen, lists: str
) -> None:
    api.create("b", manifest=ANNA + lists)

    await freezer_of().freeze("b", "u-b")

    messages = [it.error.message for it in frozen("b")[3:6] if it.error]
    assert messages == [
        f"line {number} of the list of images: key names no image in {ANNA}, the folder of the "
        "list of images"
        for number in (4, 5, 6)
    ]


async def test_list_outside_of_the_folders_of_owners_names_any_image(
    api: BatchApi, freezer_of: FreezerOf, frozen: Frozen, lists: str
) -> None:
    api.create("b", manifest=INBOX + lists)

    await freezer_of().freeze("b", "u-b")

    keys = [it.key for it in frozen("b")]
    assert keys[:7] == [
        f"{ANNA}a.jpg",
        f"{INBOX}holiday/b.jpg",
        f"{ANNA}c.jpg",
        f"{BEN}secret.jpg",
        f"{BEN}nothing.jpg",
        f"{INBOX}of-nobody.jpg",
        None,  # the same image as that of line 4
    ]
