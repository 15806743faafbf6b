"""A restore drill: copies of bucket and database of different times, into an empty release.

docs/history.md says what is lost then. Nothing is swept before a person confirms.
"""

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass, field

import pytest
from conftest import Forwarded, Kubectl, wait_for
from pytest_kind import KindCluster
from releases import ExtraRelease, Helm, extra_release, helm
from sweeps import sweep
from vision_node_contract.json_types import Json

from history.conftest import DESCRIBER, QUOTING
from history.copies import (
    Objects,
    copy_bucket,
    copy_database,
    restore_bucket,
    restore_database,
)
from history.release_history import EARLY, ReleaseHistory, image_with, new_word

__all__ = ["helm"]  # pytest looks up the fixture in this module

ADOPT = re.compile(r"vision-node\.dev/adopt=([0-9a-f-]{36})")
"""What the archiver's log says has to be confirmed."""

HOLD_SECONDS = 90.0
"""How long a test waits for the archiver to begin or end a hold. It checks once a minute."""


@dataclass
class Copies:
    """Copies of a release, and what it had when they were made."""

    release_id: str = ""
    bucket: Objects = field(default_factory=dict)
    database: str = ""
    unfinished: list[Json] = field(default_factory=list)
    """ImageJobs that had not ended."""

    jobs: dict[str, str] = field(default_factory=dict)
    """Names of evicted jobs by what happened to them."""
    words: dict[str, str] = field(default_factory=dict)
    """The word in the image of each of them."""
    keys: dict[str, str] = field(default_factory=dict)
    """The key of the image of each of them."""


@pytest.fixture(scope="module")
def copies(helm: Helm, kubectl: Kubectl, kind_cluster: KindCluster, forwarded: Forwarded) -> Copies:
    """Copy first the bucket of a release, then its database, and at last its ImageJobs."""
    with extra_release("history-origin-test", helm, kubectl, kind_cluster) as extra:
        extra.install()
        extra.apply(DESCRIBER)
        with forwarded(extra.namespace, f"{extra.prefix}-api") as api:
            origin = ReleaseHistory(extra.kubectl, api, extra.prefix)
            with origin.archiver_with(EARLY):
                return make_copies(origin)


def make_copies(origin: ReleaseHistory) -> Copies:
    """Describe images and delete one, between the copies."""
    made = Copies(origin.release_id)
    for name in ("kept", "deleted"):
        add(origin, made, name)
    waiting = {"file": ("image", image_with("waiting"))}
    assert origin.api.post("/inbox/waiting.jpg", files=waiting).is_success

    made.bucket = copy_bucket(origin)
    add(origin, made, "after the bucket")
    delete(origin, made, "deleted")
    made.database = copy_database(origin)
    add(origin, made, "after the database")

    made.unfinished = [unfinished(origin)]
    return made


def add(origin: ReleaseHistory, made: Copies, name: str) -> None:
    """Describe an image, and wait until its ImageJob is evicted."""
    made.words[name] = new_word()
    made.jobs[name] = origin.describe(image_with(made.words[name]), describer=QUOTING)
    made.keys[name] = origin.until_evicted(made.jobs[name])["image_key"]


def delete(origin: ReleaseHistory, made: Copies, name: str) -> None:
    """Delete an evicted job, and wait until its image is gone."""
    (row,) = origin.rows(made.jobs[name])
    origin.psql(f"INSERT INTO tombstones (uid) VALUES ('{row['uid']}');")  # noqa: S608
    wait_for(origin.objects, lambda keys: made.keys[name] not in keys)


def unfinished(origin: ReleaseHistory) -> Json:
    """Create an ImageJob whose Describer does not exist yet, and return it."""
    key = f"inbox/{origin.release_id}/waiting.jpg"
    job: Json = {
        "apiVersion": "vision-node.dev/v1alpha1",
        "kind": "ImageJob",
        "metadata": {"name": "waiting"},
        "spec": {"image": {"key": key}, "describer": "later"},
    }
    origin.kubectl("create", "-f", "-", input=json.dumps(job))
    return job


@pytest.fixture(scope="module")
def release(
    helm: Helm, kubectl: Kubectl, kind_cluster: KindCluster, copies: Copies
) -> Iterator[ExtraRelease]:
    """Install an empty release with the old id."""
    with extra_release("history-restore-test", helm, kubectl, kind_cluster) as extra:
        identity = {"name": f"{extra.prefix}-identity"}
        data = {"id": copies.release_id}
        extra.apply({"apiVersion": "v1", "kind": "ConfigMap", "metadata": identity, "data": data})
        extra.install()
        extra.apply(DESCRIBER)
        yield extra


@pytest.fixture(scope="module")
def restored(
    release: ExtraRelease, copies: Copies, forwarded: Forwarded
) -> Iterator[ReleaseHistory]:
    """Restore the copies into the release, as docs/history.md says."""
    with forwarded(release.namespace, f"{release.prefix}-api") as api:
        found = ReleaseHistory(release.kubectl, api, release.prefix)
        found.run_archiver(0)
        restore_database(found, copies.database)
        restore_bucket(found, copies.bucket)
        found.run_archiver(1)
        yield found


def test_nothing_is_lost_or_swept_before_a_person_confirms(
    restored: ReleaseHistory, release: ExtraRelease, copies: Copies
) -> None:
    wait_for(restored.log, lambda log: "DatabaseNotOurs" in log, HOLD_SECONDS)
    assert set(ADOPT.findall(restored.log()))

    before = restored.objects()
    assert {copies.keys["kept"], copies.keys["deleted"]} <= before
    assert sweep(release.kubectl, release.prefix) in {"StorageNotOurs", "DatabaseNotOurs"}
    assert restored.objects() == before

    for name in ("kept", "after the bucket"):
        assert restored.result(copies.jobs[name])["caption"] == f"It says {copies.words[name]}."
        assert restored.found(copies.words[name]) == [copies.jobs[name]]


def test_adopted_copies_are_readable_and_what_no_row_names_is_swept(
    restored: ReleaseHistory, release: ExtraRelease, copies: Copies
) -> None:
    """Images that had not ended are described again, and new ones are archived."""
    later = DESCRIBER | {"metadata": {"name": "later"}}
    manifest = {"apiVersion": "v1", "kind": "List", "items": [later, *copies.unfinished]}
    release.kubectl("create", "-f", "-", input=json.dumps(manifest))
    restored.until_done("waiting")

    adopt(restored, release)
    objects = restored.objects()
    assert copies.keys["kept"] in objects
    assert copies.keys["deleted"] not in objects
    for name in ("kept", "after the bucket"):
        assert restored.status(copies.jobs[name])["status"] == "done"
        assert restored.result(copies.jobs[name])["caption"] == f"It says {copies.words[name]}."

    # As documented: what was evicted after the copy of the database is lost.
    gone = [copies.jobs[name] for name in ("deleted", "after the database")]
    assert [restored.api.get(f"/status/{job}").status_code for job in gone] == [404, 404]
    assert restored.found(copies.words["deleted"]) == []

    word = new_word()
    job = restored.describe(image_with(word), describer=QUOTING)
    restored.until_archived(job)
    assert restored.found(word) == [job]


def adopt(restored: ReleaseHistory, release: ExtraRelease) -> None:
    """Set the annotation that the log asks for, and wait until a sweep is allowed."""
    (uid,) = set(ADOPT.findall(restored.log()))  # bucket and database have the same owner
    identity = f"{release.prefix}-identity"
    annotation = f"vision-node.dev/adopt={uid}"
    release.kubectl("annotate", "--overwrite", "configmap", identity, annotation)

    wait_for(
        lambda: sweep(release.kubectl, release.prefix),
        lambda outcome: outcome == "swept",
        HOLD_SECONDS,
    )
