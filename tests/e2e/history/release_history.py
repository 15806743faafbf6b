"""Submit images to a release, and look at what it keeps of them."""

import json
import random
import secrets
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import httpx
from conftest import FAST_DESCRIBER, Kubectl, wait_for
from faults.database.psql import DATABASE, PSQL, in_transaction
from faults.database.statements import READ_ROWS
from faults.load import draw
from faults.rig import IN_API
from vision_node_contract.history.schema import schema_name
from vision_node_contract.json_types import Json

ARCHIVED_SECONDS = 30.0
"""How long a test waits until a job is archived. The archiver needs two seconds."""

EVICTED_SECONDS = 120.0
"""How long a test waits until an ImageJob is evicted."""

EARLY = {"IMAGEJOB_SECONDS": "2", "EVICT_FLOOR_SECONDS": "1"}
"""The archiver's environment variables with which it evicts ImageJobs soon after their end."""


def new_word() -> str:
    """Return a word that exists nowhere else."""
    return f"planted{secrets.token_hex(8)}"


def image_with(word: str, comment: str = "") -> bytes:
    """Return an image whose comment has a word, which the describer of these tests quotes."""
    dice = random.Random(word)  # noqa: S311 (the images must only differ)
    return draw((40, 30), dice, f"quote:{word} {comment}".encode())


@dataclass(frozen=True)
class ReleaseHistory:
    """The history of a release, whose objects have names that begin with `prefix`."""

    kubectl: Kubectl
    api: httpx.Client
    prefix: str = "vision-node"

    @property
    def release_id(self) -> str:
        """The id of the release."""
        path = ("-o", "jsonpath={.data.id}")
        return self.kubectl("get", "configmap", f"{self.prefix}-identity", *path).strip()

    @property
    def schema(self) -> str:
        """The name of the release's schema in the database."""
        return schema_name(self.release_id)

    @property
    def archiver(self) -> str:
        """The archiver, as an argument of kubectl."""
        return f"deployment/{self.prefix}-archiver"

    def psql(self, sql: str) -> str:
        """Execute statements in a transaction as the superuser, and return what they print."""
        return self.in_postgres(
            *(*PSQL, f"--dbname={DATABASE}"), stdin=in_transaction(sql, self.schema)
        )

    def in_postgres(self, *command: str, stdin: str = "") -> str:
        """Run a command in PostgreSQL's pod, and return what it prints."""
        pod = f"statefulset/{self.prefix}-postgres"
        return self.kubectl("exec", "-i", pod, "--", *command, input=stdin).strip()

    def objects(self) -> set[str]:
        """Return the keys of all objects in the bucket."""
        pod = f"deployment/{self.prefix}-api"
        command = ("exec", "-i", pod, "--", "python", "-c", IN_API, "keys")
        return set(json.loads(self.kubectl(*command, input="{}")))

    def submit(
        self, data: bytes, file_name: str = "image.jpg", key: str | None = None, **fields: str
    ) -> httpx.Response:
        """Send POST /submit, with an Idempotency-Key if `key` is given."""
        headers = {"Idempotency-Key": key} if key else {}
        return self.api.post(
            "/submit",
            files={"file": (file_name, data)},
            data={"describer": FAST_DESCRIBER, **fields},
            headers=headers,
        )

    def describe(self, data: bytes, file_name: str = "image.jpg", **fields: str) -> str:
        """Submit an image, wait until it is described, and return the id of its job."""
        answer = self.submit(data, file_name, **fields)
        assert answer.status_code == 202, answer.text
        job = str(answer.json()["job_id"])
        self.until_done(job)
        return job

    def until_done(self, job: str) -> Json:
        """Wait until a job is done, and return its status."""
        status = wait_for(lambda: self.status(job), lambda it: it["status"] in {"done", "failed"})
        assert status["status"] == "done", status
        return status

    def status(self, job: str) -> Json:
        """Return the response to GET /status."""
        answer = self.api.get(f"/status/{job}")
        assert answer.status_code == 200, answer.text
        found: Json = answer.json()
        return found

    def result(self, job: str) -> Json:
        """Return the response to GET /result."""
        answer = self.api.get(f"/result/{job}")
        assert answer.status_code == 200, answer.text
        found: Json = answer.json()
        return found

    def found(self, text: str) -> list[str]:
        """Return the ids of the jobs that GET /jobs?q= finds."""
        answer = self.api.get("/jobs", params={"q": text})
        assert answer.status_code == 200, answer.text
        return [job["job_id"] for job in answer.json()["jobs"]]

    def all_jobs(self, page: int = 200) -> list[Json]:
        """Return all jobs of GET /jobs, page by page."""
        found: list[Json] = []
        query: dict[str, Any] = {"limit": page}

        while True:
            answer = self.api.get("/jobs", params=query)
            assert answer.status_code == 200, answer.text
            found += answer.json()["jobs"]
            if answer.json()["next"] is None:
                return found
            query["cursor"] = answer.json()["next"]

    def rows(self, job: str) -> list[Json]:
        """Return the rows of all jobs with this name."""
        return [row for row in json.loads(self.psql(READ_ROWS)) if row["name"] == job]

    def until_archived(self, job: str) -> Json:
        """Wait until a job has a row, and return it."""
        (row,) = wait_for(lambda: self.rows(job), bool, ARCHIVED_SECONDS)
        return row

    def until_evicted(self, job: str, uid: str | None = None) -> Json:
        """Wait until a job's row is marked, and its ImageJob is gone. Return the row."""
        uid = uid or self.until_archived(job)["uid"]
        wait_for(lambda: self.live_uid(job), lambda found: found != uid, EVICTED_SECONDS)
        (row,) = [row for row in self.rows(job) if row["uid"] == uid]
        assert row["evicted"], f"the ImageJob {job} is gone, but was not evicted"
        return row

    def live_uid(self, job: str) -> str | None:
        """Return the uid of an ImageJob in etcd; None if there is none."""
        path = ("--ignore-not-found", "-o", "jsonpath={.metadata.uid}")
        return self.kubectl("get", "imagejob", job, *path).strip() or None

    def log(self) -> str:
        """Return the archiver's log; an empty text while its container does not exist."""
        try:
            return self.kubectl("logs", self.archiver)
        except subprocess.CalledProcessError:
            return ""

    @contextmanager
    def archiver_with(self, settings: dict[str, str]) -> Iterator[None]:
        """Set environment variables of the archiver while the block runs."""
        (container,) = json.loads(self.kubectl("get", self.archiver, "-o", "json"))["spec"][
            "template"
        ]["spec"]["containers"]
        before = {it["name"]: it.get("value", "") for it in container["env"]}
        # kubectl removes a variable whose name ends with a minus sign.
        undo = [f"{it}={before[it]}" if it in before else f"{it}-" for it in settings]

        self._set_env([f"{name}={value}" for name, value in settings.items()])
        try:
            yield
        finally:
            self._set_env(undo)

    def _set_env(self, settings: list[str]) -> None:
        self.kubectl("set", "env", self.archiver, *settings)
        self.kubectl("rollout", "status", self.archiver, "--timeout=90s")

    def run_archiver(self, replicas: int) -> None:
        """Stop or start the archiver, and wait until it has stopped or started."""
        self.kubectl("scale", self.archiver, f"--replicas={replicas}")
        self.kubectl("rollout", "status", self.archiver, "--timeout=90s")
        if not replicas:
            pods = ("-l", "app.kubernetes.io/component=archiver", "-o", "name")
            wait_for(lambda: self.kubectl("get", "pods", *pods), lambda found: not found)
