"""The query parameters that choose jobs, for lists and exports."""

import re
from datetime import datetime
from typing import Annotated

from fastapi import Depends, Query
from vision_node_contract.models.imagejob import Phase
from vision_node_contract.names import OWNER_LABEL

from ..services.history.job_filter import JobFilter
from ..web.problems import Problem
from ..web.times import read_time

MAX_QUERY_CHARACTERS = 500
"""Maximum length of a search. It has room for the maximum number of words of usual length."""

MAX_LABELS = 8
"""Maximum number of labels in a request. Each costs time for each job that is looked at."""

OWNER_PATTERN = r"^([A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?)?$"
"""Values of the label vision-node.dev/owner, as for all labels in Kubernetes."""

NAME_PATTERN = r"^[a-z0-9]([-a-z0-9.]{0,251}[a-z0-9])?$"
"""Names of Describers and ImageBatches, as for most objects in Kubernetes."""

REASON_PATTERN = r"^[A-Z][A-Za-z0-9]{0,127}$"
"""Reasons are words in CamelCase."""

_DOMAIN = r"[a-z0-9]([-a-z0-9.]{0,251}[a-z0-9])?/"
_WORD = r"[A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?"
_LABEL = re.compile(rf"((?:{_DOMAIN})?{_WORD})=((?:{_WORD})?)", re.ASCII)

SearchText = Annotated[
    str | None,
    Query(
        max_length=MAX_QUERY_CHARACTERS,
        description="find images whose description, tags, text or file name have all these "
        "words, or words that begin with them",
    ),
]


async def read_filter(
    *,
    phase: Annotated[
        list[Phase] | None, Query(description="only these phases; may be repeated")
    ] = None,
    describer: Annotated[
        str | None, Query(pattern=NAME_PATTERN, description="only jobs of this describer")
    ] = None,
    batch: Annotated[
        str | None,
        Query(
            pattern=NAME_PATTERN,
            description="images of this batch that have ended, by their indexes; with `q`, the "
            "newest first",
        ),
    ] = None,
    reason: Annotated[
        str | None,
        Query(pattern=REASON_PATTERN, description="only jobs that failed for this reason"),
    ] = None,
    label: Annotated[
        list[str] | None,
        Query(
            max_length=MAX_LABELS,
            description="`key=value`: only jobs with this label; may be repeated",
        ),
    ] = None,
    after: Annotated[
        str | None,
        Query(
            max_length=40,
            description="only jobs that were created at this time (RFC 3339) or later",
        ),
    ] = None,
    before: Annotated[
        str | None,
        Query(max_length=40, description="only jobs that were created before this time (RFC 3339)"),
    ] = None,
    owner: Annotated[
        str | None,
        Query(pattern=OWNER_PATTERN, description="value of the label vision-node.dev/owner"),
    ] = None,
) -> JobFilter:
    """Return the filter that the query parameters describe.

    The function is async, because FastAPI would otherwise call it in a thread.

    Raises:
        Problem: 422 InvalidRequest.
    """
    return JobFilter(
        phases=frozenset(phase or ()),
        describer=describer,
        batch=batch,
        reason=reason,
        labels=tuple(sorted({_label(text) for text in label or ()})),
        after=_time("after", after),
        before=_time("before", before),
        owner=owner or None,
    )


FilterDep = Annotated[JobFilter, Depends(read_filter)]


def _label(text: str) -> tuple[str, str]:
    match = _LABEL.fullmatch(text)
    if match is None:
        raise _invalid("label", f"{text!r} is no label; write it like label=team=web")

    name = match[1]
    if name == OWNER_LABEL:
        raise _invalid("label", f"{OWNER_LABEL} has a parameter of its own; use owner=<value>")

    return name, text.removeprefix(f"{name}=")


def _time(parameter: str, text: str | None) -> datetime | None:
    if text is None:
        return None

    if time := read_time(text):
        return time

    example = "2026-01-31T12:00:00Z or 2026-01-31T13:00:00%2B01:00"
    raise _invalid(parameter, f"{text!r} is no time with a time zone (RFC 3339); write {example}")


def _invalid(parameter: str, detail: str) -> Problem:
    return Problem(422, "InvalidRequest", f"The request is invalid: query.{parameter}: {detail}.")
