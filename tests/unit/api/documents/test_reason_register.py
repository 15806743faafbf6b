"""Tests that the register has exactly the reasons that the API answers with."""

from collections.abc import Iterable
from types import ModuleType

import pytest
from declared_reasons import TABLE
from raised_reasons import Raised, raised_by_api, raised_in
from vision_node_api.app import build_app
from vision_node_api.routes.job_details import NOT_INCLUDED
from vision_node_api.routes.openapi.reason_groups import Reasons, merged
from vision_node_api.routes.openapi.route_reasons import ANY_REQUEST, REASONS, reasons_text
from vision_node_api.routes.openapi.security import CHANGING, access_reasons
from vision_node_api.services.following.all_stream import MISSED, TOO_OLD, UNKNOWN
from vision_node_api.services.history.history_problems import DETAILS
from vision_node_api.uploads.bulk.refusals import FileReason
from vision_node_api.web.reasons import REGISTER, TOPICS, Place
from vision_node_contract.clients.batch_results import CHANGED, GONE
from vision_node_contract.clients.ownership import STORAGE_NOT_OURS
from vision_node_contract.models.reasons import STORAGE_REASONS, BatchReason, ReadyReason, Reason

REGISTER_FOLDER = "api/vision_node_api/web/reasons/"

ENDED_BATCHES = (
    BatchReason.CANCELLED,
    BatchReason.TOO_MANY_FAILED_IMAGES,
    BatchReason.TOKENS_USED_UP,
)
"""Reasons of batches that ended before all of their images were described."""

DYNAMIC: dict[str, dict[int, tuple[str, ...]]] = {
    "services.dependency_problems:_unavailable": {503: tuple(STORAGE_REASONS)},
    "services.history.history_problems:history_problem": {503: tuple(DETAILS)},
    "services.inbox:_require_ownership": {503: (STORAGE_NOT_OURS,)},
    "services.jobs:result": {409: tuple(Reason)},
    "services.batches.batch_images:result": {
        409: (*Reason, *FileReason, *ENDED_BATCHES),
        410: (GONE,),
        502: (CHANGED,),
    },
    "services.batches.creation_images:_problem": {
        413: (FileReason.IMAGE_TOO_LARGE,),
        415: (FileReason.UNSUPPORTED_FORMAT, FileReason.NESTED_ARCHIVE),
        422: (
            FileReason.EMPTY_FILE,
            FileReason.NAME_INVALID,
            FileReason.DUPLICATE_CUSTOM_ID,
            FileReason.ENCRYPTED,
            FileReason.COMPRESSION_UNSUPPORTED,
            FileReason.NOT_A_FILE,
            FileReason.MEMBER_DAMAGED,
        ),
    },
    "uploads.image_inspection:_read_header": {
        415: (Reason.UNSUPPORTED_FORMAT,),
        422: (Reason.IMAGE_UNREADABLE,),
    },
    "web.problems:_framework_problem": {
        400: ("BadRequest",),
        404: ("NotFound",),
        405: ("MethodNotAllowed",),
    },
}
"""Reasons and statuses of problems whose reason is a variable, by module and function."""

WAITING = {
    *(it for it in ReadyReason if it.troubled),
    ReadyReason.RATE_LIMITED,
    *STORAGE_REASONS,
    BatchReason.WORKER_TOO_OLD,
    BatchReason.SHARDS_REFUSED,
}
"""Reasons why jobs and batches wait that say what someone may have to do."""

NO_PROBLEMS = {
    BatchReason.MANIFEST_FROZEN,
    BatchReason.NOT_WAITING,
    BatchReason.SUSPENDED,
    BatchReason.RESUMED,
    BatchReason.COMPLETED,
    BatchReason.UPLOAD_EXPIRED,  # of an Event: the batch itself has been deleted
}
"""Reasons of batches that are not in the register, because no response has them as an error."""

ELSEWHERE: dict[Place, set[str]] = {
    Place.JOB: {*Reason},
    Place.FILE: {*FileReason, "ImageGone"},
    Place.BATCH: {*BatchReason} - NO_PROBLEMS - WAITING,
    Place.WAITING: WAITING,
    Place.EVENT: {it.reason for it in (TOO_OLD, MISSED, UNKNOWN)},
    Place.EXPORT: {NOT_INCLUDED},
}
"""Reasons that appear in other responses than problem documents."""


def raised() -> set[tuple[str, int]]:
    """Return all pairs of reason and status."""
    literal = {(it.reason, it.status) for it in raised_by_api() if it.reason and it.status}
    dynamic = {
        (str(reason), status)
        for statuses in DYNAMIC.values()
        for status, reasons in statuses.items()
        for reason in reasons
    }
    return literal | dynamic


def test_every_reason_is_in_the_register_with_its_statuses() -> None:
    missing = sorted(
        f"{reason} ({status})"
        for reason, status in raised()
        if reason not in REGISTER or status not in REGISTER[reason].statuses
    )
    assert not missing, (
        f"The register lacks {', '.join(missing)}. Add the reason, or its status, to the module of "
        f"its topic in {REGISTER_FOLDER}, and run `make format`."
    )


def test_no_entry_of_the_register_is_unused() -> None:
    known = raised()
    unused = sorted(
        f"{entry.reason} ({status})"
        for entry in REGISTER.values()
        for status in entry.statuses
        if (entry.reason, status) not in known
    )
    assert not unused, (
        f"Nothing raises {', '.join(unused)}. Remove the entry or its status from "
        f"{REGISTER_FOLDER}, and run `make format`."
    )


def test_variable_reasons_are_listed() -> None:
    places = {it.place for it in raised_by_api() if it.reason is None or it.status is None}
    assert places == set(DYNAMIC), (
        "The code raises Problem(…) with a variable as its status or reason in a new place, or no "
        "longer in an old one. List all of its reasons in DYNAMIC."
    )


@pytest.mark.parametrize("place", Place)
def test_reasons_of_other_responses_are_in_the_register(place: Place) -> None:
    entries = {entry.reason for entry in REGISTER.values() if place in entry.places}
    assert entries == ELSEWHERE[place]


def test_each_reason_has_one_entry() -> None:
    assert sum(map(len, TOPICS.values())) == len(REGISTER)


@pytest.mark.parametrize("reason", REGISTER)
def test_texts_are_sentences_and_titles_are_not(reason: str) -> None:
    entry = REGISTER[reason]
    assert entry.happened.endswith(".")
    assert entry.remedy.endswith(".")
    assert not entry.title.endswith(".")
    assert len(entry.title) <= 60
    assert entry.where


OF_MEMBERS = {
    (str(reason), 422)
    for reason in (
        FileReason.DUPLICATE_CUSTOM_ID,
        FileReason.ENCRYPTED,
        FileReason.COMPRESSION_UNSUPPORTED,
        FileReason.NOT_A_FILE,
        FileReason.MEMBER_DAMAGED,
    )
}
"""Reasons of files in an archive, which no single image of a request has."""


def declared(tables: Iterable[Reasons]) -> set[tuple[str, int]]:
    """Return all pairs of reason and status in tables."""
    return {
        (reason, status)
        for table in tables
        for status, reasons in table.items()
        for reason in reasons
    }


def test_every_problem_belongs_to_a_route() -> None:
    """Tests of the API check that the routes are the right ones."""
    known = declared([*REASONS.values(), ANY_REQUEST, CHANGING])
    missing = sorted(f"{reason} ({status})" for reason, status in raised() - known - OF_MEMBERS)
    assert not missing, f"Add to the routes that raise them, in {TABLE}: {', '.join(missing)}"


def test_routes_have_no_other_reasons_than_the_code_raises() -> None:
    known = raised()
    unknown = sorted(
        f"{reason} ({status})"
        for reason, status in declared([*REASONS.values(), ANY_REQUEST, CHANGING]) - known
    )
    assert not unknown, f"Nothing raises what {TABLE} has: {', '.join(unknown)}"


def test_each_route_says_with_which_statuses_and_reasons_it_fails() -> None:
    operations = {
        operation["operationId"]: (operation["responses"], access_reasons(method.upper(), path))
        for path, item in build_app().openapi()["paths"].items()
        for method, operation in item.items()
    }
    assert operations.keys() == REASONS.keys()

    for name, (responses, of_access) in operations.items():
        expected = merged(REASONS[name], of_access)
        failures = {it for it in responses if it.isdigit() and int(it) >= 400}
        assert failures == {str(it) for it in expected}, f"{name} in {TABLE}"
        for status, reasons in expected.items():
            response = responses[str(status)]
            assert response["x-reasons"] == [*reasons]
            assert reasons_text(reasons) in response["description"]


def test_reasons_of_failed_images_are_not_listed_one_by_one() -> None:
    assert reasons_text(REASONS["result"][409]) == (
        "`NotDone`, or the reason why the image has failed"
    )
    assert reasons_text(("JobNotFound", "NotDone")) == "`JobNotFound`, `NotDone`"


SOURCE = """
def _refuse(reason, detail):
    return Problem(429, reason, detail)

def literal():
    raise Problem(404, "Lost", "gone")

def constant(error):
    if error:
        raise _refuse("Full", "full")
    raise _refuse(LIMIT, "limit")

def variable(error):
    raise Problem(error.status, error.reason, "why")
"""


def test_reasons_are_found_in_code() -> None:
    module = ModuleType("sample")
    module.LIMIT = "Limited"  # type: ignore[attr-defined]
    assert sorted(raised_in(SOURCE, "sample", module), key=str) == sorted(
        [
            Raised("sample:_refuse", "Full", 429),
            Raised("sample:_refuse", "Limited", 429),
            Raised("sample:literal", "Lost", 404),
            Raised("sample:variable", None, None),
        ],
        key=str,
    )
