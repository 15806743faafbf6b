"""Find ImageJobs in the cache, and look at a bounded number of them."""

import logging
from collections.abc import Iterator

from vision_node_contract.models.imagejob import ImageJob

from ...watch.imagejob_cache import ImageJobCache
from .cursor import NEWEST
from .history_rows import Part, Position
from .job_filter import JobFilter

log = logging.getLogger(__name__)

MAX_LOOKED = 10_000
"""Maximum number of ImageJobs to look at for a page. Most are ruled out by their texts, each within
about two microseconds, so other requests wait for 20 ms at most."""

MAX_PARSED = 400
"""Maximum number of ImageJobs to parse for a page, each of which takes about 50 microseconds. It is
more than the longest page has."""


def find_live(
    cache: ImageJobCache, wanted: JobFilter, start: Position, limit: int
) -> Part[ImageJob]:
    """Return up to `limit` wanted ImageJobs after a place, from the newest to the oldest.

    Those that this replica has just created come last.
    """
    part = _watched(cache, wanted, start, limit)
    part.found.extend(_just_created(cache, wanted, start))
    return part


def position_of(job: ImageJob) -> Position:
    """Return the place of an ImageJob in lists."""
    return Position(job.metadata.creation_timestamp or NEWEST.at, job.metadata.uid)


def _watched(
    cache: ImageJobCache, wanted: JobFilter, start: Position, limit: int
) -> Part[ImageJob]:
    hints = wanted.hints()
    found: list[ImageJob] = []
    parsed = 0

    texts = cache.texts_before(start.at, start.uid, wanted.owner)
    for looked, (entry, text) in enumerate(texts, 1):
        if wanted.after and entry.at < wanted.after:
            return Part(found, None)

        place = Position(entry.at, entry.uid)
        if all(hint in text for hint in hints):
            parsed += 1
            job = _parsed(entry.name, text)
            if job and wanted.accepts(job):
                found.append(job)

        if len(found) >= limit or looked >= MAX_LOOKED or parsed >= MAX_PARSED:
            return Part(found, place)

    return Part(found, None)


def _parsed(name: str, text: bytes) -> ImageJob | None:
    try:
        return ImageJob.model_validate_json(text)
    except ValueError as error:
        log.warning("ImageJob %s can't be listed: %s", name, error)
        return None


def _just_created(cache: ImageJobCache, wanted: JobFilter, start: Position) -> Iterator[ImageJob]:
    for job in cache.just_created():
        is_later = job.metadata.creation_timestamp and position_of(job)[:2] < start[:2]
        if is_later and wanted.accepts(job):
            yield job
