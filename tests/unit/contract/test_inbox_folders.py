"""Tests of the folders of owners in the inbox."""

import re

import pytest
from vision_node_contract.bucket_keys import BucketFolders

FOLDERS = BucketFolders("aaaabbbbcccc")
INBOX = "inbox/aaaabbbbcccc/"
OWNERS = [
    *("anna", "Anna", "a.b", "a_b-c", "a" * 63, "7"),
    *("a..b", "xl.meta", "hash-0123456789abcdef0123456789abcdef"),
]


@pytest.mark.parametrize("owner", OWNERS)
def test_folder_of_an_owner_can_be_a_part_of_a_key(owner: str) -> None:
    folder = FOLDERS.inbox_of(owner)
    part = folder.removeprefix(f"{INBOX}owners/").removesuffix("/")

    assert re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]{0,62}", part)
    assert ".." not in part
    assert part != "xl.meta"
    assert FOLDERS.owned_folder(f"{folder}cat.jpg") == folder


def test_each_owner_has_a_folder_of_its_own() -> None:
    hashed = FOLDERS.inbox_of("a..b").split("/")[-2]
    folders = [FOLDERS.inbox_of(owner) for owner in [*OWNERS, hashed]]
    assert len(set(folders)) == len(folders)
    assert not any(a != b and a.startswith(b) for a in folders for b in folders)


@pytest.mark.parametrize(
    "key",
    [
        f"{INBOX}cat.jpg",
        f"{INBOX}owners",
        f"{INBOX}owners/cat.jpg",
        f"{INBOX}owners//cat.jpg",
        "inbox/owners/anna/cat.jpg",
        "inbox/ddddeeeeffff/owners/anna/cat.jpg",
    ],
)
def test_other_keys_are_in_no_folder_of_an_owner(key: str) -> None:
    assert FOLDERS.owned_folder(key) is None


@pytest.mark.parametrize(
    ("key", "expected"),
    [
        (f"{INBOX}owners/anna/a", f"{INBOX}owners/anna/a"),
        ("inbox/owners/anna/a", f"{INBOX}owners/anna/a"),
        ("inbox/a", f"{INBOX}owners/anna/a"),
        ("inbox/owners/ben/a", f"{INBOX}owners/anna/owners/ben/a"),
        (f"{INBOX}owners/ben/a", None),
        (f"{INBOX}a", None),
        ("images/a", None),
        ("owners/anna/a", None),
    ],
)
def test_short_keys_are_relative_to_the_only_folder(key: str, expected: str | None) -> None:
    assert FOLDERS.key_within(key, FOLDERS.inbox_of("anna")) == expected


def test_without_an_id_of_the_release_all_keys_are_short() -> None:
    folders = BucketFolders()
    assert folders.inbox_of("anna") == "inbox/owners/anna/"
    assert folders.key_within("inbox/a", "inbox/owners/anna/") == "inbox/owners/anna/a"
    assert folders.key_within("inbox/owners/anna/a", "inbox/owners/anna/") == (
        "inbox/owners/anna/a"
    )
