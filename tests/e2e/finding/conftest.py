"""Fixtures for tests of finding jobs: jobs in etcd, and jobs that were evicted from it."""

import json
from dataclasses import dataclass
from typing import Any

import httpx
import pytest
from conftest import FAST_DESCRIBER, Kubectl
from history.release_history import EARLY, ReleaseHistory, image_with, new_word
from vision_node_contract.json_types import Json

LABEL = "example.com/word"


@dataclass(frozen=True)
class Planted:
    """Jobs with a label whose value is `word`, which no other job has."""

    history: ReleaseHistory
    word: str
    evicted: str
    failed: str
    """A failed job that was evicted, too."""
    live: str
    """A job in etcd, which is newer than the others."""

    def jobs(self, **query: Any) -> list[Json]:
        """Return all jobs of GET /jobs with the label, page by page."""
        found: list[Json] = []
        cursor: Json = {}
        while True:
            parameters = {"label": f"{LABEL}={self.word}", **query, **cursor}
            answer = self.history.api.get("/jobs", params=parameters)
            assert answer.status_code == 200, answer.text
            found += answer.json()["jobs"]
            if answer.json()["next"] is None:
                return found
            cursor = {"cursor": answer.json()["next"]}

    def names(self, **query: Any) -> list[str]:
        """Return the ids of these jobs."""
        return [job["job_id"] for job in self.jobs(**query)]


@pytest.fixture(scope="package")
def planted(kubectl: Kubectl, api: httpx.Client) -> Planted:
    """Create three jobs with a label: two that are evicted, one of which has failed."""
    history, word = ReleaseHistory(kubectl, api), new_word()

    def create(kind: str, key: str) -> str:
        name = f"{kind}-{word}"
        job = {
            "apiVersion": "vision-node.dev/v1alpha1",
            "kind": "ImageJob",
            "metadata": {"name": name, "labels": {LABEL: word}},
            "spec": {"image": {"key": key}, "describer": FAST_DESCRIBER, "priority": 1},
        }
        kubectl("create", "-f", "-", input=json.dumps(job))
        return name

    file = {"file": ("image", image_with(word))}
    key = api.post(f"/inbox/finding/{word}.jpg", files=file).json()["key"]
    with history.archiver_with(EARLY):
        evicted, failed = create("evicted", key), create("failed", f"inbox/finding/{word}.gone")
        for name in (evicted, failed):
            history.until_evicted(name)

    live = create("live", key)
    history.until_done(live)
    return Planted(history, word, evicted, failed, live)
