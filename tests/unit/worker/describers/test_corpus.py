"""Tests that the API and the metadata describer handle each corpus file as expected."""

import pytest
from corpus import CASES
from corpus.case import Case, Outcome
from vision_node_api.uploads.image_inspection import ImageLimits, inspect_image
from vision_node_api.web.problems import Problem
from vision_node_contract.models.description import Options
from vision_node_contract.models.reasons import DescribeError
from vision_node_describer.describers import load

# Pillow warns about invalid EXIF and malformed MPO files. Workers also ignore these warnings.
pytestmark = pytest.mark.filterwarnings("ignore::UserWarning")

LIMITS = ImageLimits(image_bytes=20 << 20, image_pixels=100_000_000)
DESCRIBER = load("metadata")


def test_corpus_has_at_least_150_cases() -> None:
    assert len(CASES) >= 150


@pytest.mark.parametrize("name", CASES)
def test_submission_of_a_corpus_file_is_accepted_or_refused(name: str) -> None:
    case = CASES[name]
    if case.status == 202:
        stored = inspect_image(case.data, None, "inbox/x", LIMITS)
        assert stored.media_type == case.facts.get("mediaType", stored.media_type)
        assert _has_expected_size(stored.width, stored.height, case)
        return

    with pytest.raises(Problem) as caught:
        inspect_image(case.data, None, "inbox/x", LIMITS)

    refused = Outcome(caught.value.status, caught.value.reason, caught.value.detail)
    assert case.differences(refused) == {}


@pytest.mark.parametrize("name", [name for name, case in CASES.items() if case.status == 202])
def test_accepted_corpus_file_is_described_or_fails(name: str) -> None:
    case = CASES[name]
    assert DESCRIBER.memory(case.data) > 0
    try:
        described = DESCRIBER.describe(case.data, Options())
        outcome = Outcome(202, None, described.description, dict(described.facts))
    except DescribeError as error:
        outcome = Outcome(202, error.reason, error.message)

    assert case.differences(outcome) == {}


def _has_expected_size(width: int | None, height: int | None, case: Case) -> bool:
    """Return whether the stored size is the displayed size, possibly with the sides swapped."""
    shown = (case.facts.get("width", width), case.facts.get("height", height))
    return (width, height) in (shown, shown[::-1])
