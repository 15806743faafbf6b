"""Tests of lists of images, and of batches that can't be described."""

import pytest
from conftest import FAST_DESCRIBER

from batches.batch import FOLDER, Batches, condition, reasons
from batches.conftest import BROKEN


def test_images_that_a_list_may_not_name_fail_alone(batches: Batches) -> None:
    batches.create("odd", manifest=f"inbox/{FOLDER}/odd.jsonl", describer=FAST_DESCRIBER)
    status, lines = batches.wait("odd", "Complete"), batches.lines("odd")

    assert status["images"] == {"total": 8, "done": 2, "failed": 6}
    by_index = {
        line["index"]: (line["customId"], line.get("error", {}).get("reason")) for line in lines
    }
    assert [by_index[index] for index in range(7)] == [
        ("good", None),
        ("twice", None),
        ("twice", "DuplicateCustomId"),
        ("outside", "ManifestLineInvalid"),
        ("above", "ManifestLineInvalid"),
        ("missing", "ImageNotFound"),
        ("changed", "ImageChanged"),
    ]
    assert by_index[7][1] == "ManifestLineInvalid"


@pytest.mark.parametrize(
    ("name", "source", "reason"),
    [
        ("empty", {"prefix": f"inbox/{FOLDER}/no-such-folder/"}, "NoImages"),
        ("listless", {"manifest": f"inbox/{FOLDER}/no-such-list.jsonl"}, "ManifestNotFound"),
    ],
)
def test_batch_without_images_fails_with_a_reason(
    batches: Batches, name: str, source: dict[str, str], reason: str
) -> None:
    batches.create(name, **source, describer=FAST_DESCRIBER)
    status = batches.wait(name, "Failed")
    assert (status["phase"], condition(status, "Failed")["reason"]) == ("failed", reason)
    assert batches.text(name) == ""


def test_batch_ends_if_too_many_images_fail(batches: Batches) -> None:
    source = {"prefix": f"inbox/{FOLDER}/broken/", "describer": FAST_DESCRIBER}
    batches.create("hopeless", **source, maxFailedImages=BROKEN - 1)
    batches.create("tolerant", **source, maxFailedImages=BROKEN)

    status = batches.wait("hopeless", "Failed")
    found = reasons(batches.lines("hopeless"))
    assert condition(status, "Failed")["reason"] == "TooManyFailedImages"
    assert (status["images"]["failed"], set(found.values())) == (len(found), {"ImageUnreadable"})

    status = batches.wait("tolerant", "Complete")
    assert status["images"] == {"total": BROKEN, "done": 0, "failed": BROKEN}
