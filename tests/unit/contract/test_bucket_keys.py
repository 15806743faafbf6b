"""Tests of the keys in the bucket: which folders and objects belong to a release."""

from typing import Any

import pytest
from vision_node_contract.bucket_keys import RELEASE_ID, BucketFolders, ResultObject
from vision_node_contract.models.imagejob import ImageJob

FOLDERS, OLD = BucketFolders("aaaabbbbcccc"), BucketFolders()


def imagejob(image: str, result: str | None = None) -> ImageJob:
    stored = {"result": {"describer": "d", "summary": "s", "key": result}} if result else {}
    body: dict[str, Any] = {
        "metadata": {"name": "j", "uid": "u", "resourceVersion": "5"},
        "spec": {"image": {"key": image}},
        "status": {"phase": "done" if result else "queued", "attempts": 1, **stored},
    }
    return ImageJob.model_validate(body)


@pytest.mark.parametrize(
    ("image", "result", "own"),
    [
        ("images/aaaabbbbcccc/1", None, ["images/aaaabbbbcccc/1"]),
        (
            "images/aaaabbbbcccc/1",
            "results/aaaabbbbcccc/u/1",
            ["images/aaaabbbbcccc/1", "results/aaaabbbbcccc/u/1"],
        ),
        # Objects of an older release.
        ("images/1", "results/u/1", ["images/1", "results/u/1"]),
        # Objects of another release.
        ("images/ddddeeeeffff/1", "results/ddddeeeeffff/u/1", []),
        ("inbox/1", "results/u/1", ["results/u/1"]),
        ("inbox/aaaabbbbcccc/1", None, []),
        # Objects of other ImageJobs, or of no ImageJob.
        ("inbox/1", "results/another/1", []),
        ("inbox/1", "results/aaaabbbbcccc/another/1", []),
        ("inbox/1", "results/aaaabbbbcccc/u/2", []),
        ("inbox/1", "results/u/../another/1", []),
        ("inbox/1", "images/aaaabbbbcccc/another", []),
        ("results/another/1", None, []),
        ("owners/aaaabbbbcccc", None, []),
    ],
)
def test_own_keys_are_the_upload_and_the_result_of_the_job(
    image: str, result: str | None, own: list[str]
) -> None:
    assert FOLDERS.own_keys(imagejob(image, result)) == own


@pytest.mark.parametrize(
    ("image", "own"), [("images/1", ["images/1"]), ("images/ddddeeeeffff/1", [])]
)
def test_release_without_an_id_has_only_the_keys_of_older_releases(
    image: str, own: list[str]
) -> None:
    assert OLD.own_keys(imagejob(image)) == own
    assert OLD.marker is None
    assert OLD.new_image_key().count("/") == 1


def test_new_keys_are_in_the_folders_of_the_release() -> None:
    assert FOLDERS.new_image_key().startswith("images/aaaabbbbcccc/")
    assert ResultObject.of(imagejob("inbox/1"), b"", FOLDERS).key == "results/aaaabbbbcccc/u/1"
    assert FOLDERS.marker == "owners/aaaabbbbcccc"


@pytest.mark.parametrize("key", ["inbox/a/b.jpg", "inbox/aaaabbbbcccc/a/b.jpg"])
def test_key_in_the_inbox_gets_the_id_of_the_release_once(key: str) -> None:
    assert FOLDERS.inbox_key(key) == "inbox/aaaabbbbcccc/a/b.jpg"


@pytest.mark.parametrize(
    ("name", "key"),
    [
        ("a.jpg", "inbox/a.jpg"),
        ("holiday/a.jpg", "inbox/holiday/a.jpg"),
        ("ddddeeeeffff", "inbox/ddddeeeeffff"),
        ("ddddeeeeffff/a.jpg", None),
        ("aaaabbbbcccc/a.jpg", None),
    ],
)
def test_image_in_the_folder_of_another_release_is_not_one_of_an_older_release(
    name: str, key: str | None
) -> None:
    assert FOLDERS.older_inbox_key(name) == key


def test_release_without_an_id_has_no_older_release() -> None:
    assert OLD.older_inbox_key("a.jpg") is None


@pytest.mark.parametrize("release_id", ["", "aaaabbbbcccc"])
def test_folders_are_read_from_the_environment(
    monkeypatch: pytest.MonkeyPatch, release_id: str
) -> None:
    monkeypatch.setenv("RELEASE_ID", release_id)
    assert BucketFolders.from_env() == BucketFolders(release_id)


@pytest.mark.parametrize("release_id", ["a", "../images", "AAAABBBBCCCC", "aaaabbbbcccc/"])
def test_invalid_id_is_refused(monkeypatch: pytest.MonkeyPatch, release_id: str) -> None:
    assert not RELEASE_ID.fullmatch(release_id)
    monkeypatch.setenv("RELEASE_ID", release_id)
    with pytest.raises(ValueError, match="restore"):
        BucketFolders.from_env()
