"""Tests of the main use case: upload photographs, among odd files, in a form, a tar or a zip."""

from collections.abc import Callable

import httpx
import pytest
from batches.batch import Batches, reasons
from conftest import wait_for

from uploads.archives import Files
from uploads.image_sizes import described, sizes
from uploads.pictures_to_upload import (
    FAKE,
    HIDDEN_FILES,
    ODD_FILES,
    PHOTOS,
    REFUSED,
    REFUSED_IN_TAR,
    REFUSED_IN_ZIP,
    mixed_form,
    mixed_tar,
    mixed_zip,
)
from uploads.upload_requests import (
    accepted,
    post_archive,
    post_files,
    post_form,
    refusals,
    refused_with,
)

KINDS = ("form", "tar", "zip")

NO_IMAGE = (FAKE[0], "UnsupportedFormat")

REFUSED_IN = {
    "form": [NO_IMAGE, *REFUSED],
    "tar": [NO_IMAGE, *REFUSED, *REFUSED_IN_TAR],
    "zip": [*REFUSED, *REFUSED_IN_ZIP],
}
"""Files that the API refuses, and why. It reads only the directory of a zip file."""

FAILED_IN: dict[str, dict[str, str]] = {"form": {}, "tar": {}, "zip": dict([NO_IMAGE])}
"""Images that the API accepts, but that no worker can describe."""

OBJECTS_OF = {"form": {"l", "p"}, "tar": {"l", "p"}, "zip": {"l", "zip"}}
"""Names of the objects of an attempt, without numbers."""


@pytest.fixture(scope="module")
def answers(api: httpx.Client) -> dict[str, httpx.Response]:
    """Upload the same photographs as each kind of body, in a batch of this name."""
    return {
        "form": post_form(api, mixed_form(), name="form"),
        "tar": post_archive(api, "tar", mixed_tar(), name="tar"),
        "zip": post_archive(api, "zip", mixed_zip(), name="zip"),
    }


@pytest.fixture(params=KINDS)
def kind(request: pytest.FixtureRequest) -> str:
    """The kind of the body; also the name of its batch."""
    return str(request.param)


def test_answer_names_refused_files_with_their_reasons(
    answers: dict[str, httpx.Response], kind: str
) -> None:
    answer = accepted(answers[kind])
    assert (answer["name"], answer["images"]) == (kind, len(PHOTOS) + len(FAILED_IN[kind]))
    assert answer["skipped"] == len(HIDDEN_FILES)
    assert refusals(answer) == sorted(REFUSED_IN[kind])


def test_answer_leads_to_the_batch(
    answers: dict[str, httpx.Response], api: httpx.Client, kind: str
) -> None:
    answer = accepted(answers[kind])
    state = api.get(answers[kind].headers["location"])
    assert (state.status_code, state.json()["uid"]) == (200, answer["uid"])
    assert api.get(answer["links"]["self"]).json()["uid"] == answer["uid"]
    assert api.get(answer["links"]["results"]).status_code == 200


def test_every_accepted_image_is_described_once(
    answers: dict[str, httpx.Response], batches: Batches, kind: str
) -> None:
    """If a name occurs twice, the first file has it."""
    accepted(answers[kind])
    status, lines = batches.wait(kind, "Complete"), batches.lines(kind)

    assert described(lines) == sizes(PHOTOS)
    assert reasons(lines) == FAILED_IN[kind]
    total, failed = len(lines), len(FAILED_IN[kind])
    assert status["images"] == {"total": total, "done": len(PHOTOS), "failed": failed}
    assert sorted(line["index"] for line in lines) == list(range(len(PHOTOS) + failed))


def test_deleted_upload_leaves_nothing(
    answers: dict[str, httpx.Response],
    api: httpx.Client,
    batches: Batches,
    exists: Callable[[str], bool],
    kind: str,
) -> None:
    """This test is the last one that uses these batches."""
    uid = accepted(answers[kind])["uid"]
    uploaded = [key.split("/") for key in batches.objects(uid) if key.startswith("u/")]
    assert {name.rstrip("0123456789") for _, _, name in uploaded} == OBJECTS_OF[kind]
    assert len({attempt for _, attempt, _ in uploaded}) == 1

    assert api.delete(f"/batches/{kind}").status_code == 204
    assert refused_with(api.get(f"/batches/{kind}"), 404) == "BatchNotFound"
    assert not exists(kind)
    wait_for(lambda: batches.objects(uid), lambda left: not left)


@pytest.mark.parametrize(
    ("files", "reasons_of"),
    # The last odd file is refused only because there is another one with its name.
    [(ODD_FILES[:-1], REFUSED[:-1]), (HIDDEN_FILES, [])],
    ids=["refused", "hidden"],
)
def test_upload_without_images_is_refused(
    api: httpx.Client,
    exists: Callable[[str], bool],
    kind: str,
    files: Files,
    reasons_of: list[tuple[str, str]],
) -> None:
    """The refusal lists the files as an answer does."""
    name = f"nothing-in-{kind}"
    answer = post_files(api, kind, files, name=name)
    assert refused_with(answer, 422) == "NoImages"
    assert refusals(answer.json()) == sorted(reasons_of)
    assert not exists(name)
