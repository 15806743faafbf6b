"""Create ImageBatches with kubectl, and read them and their results."""

import json
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx
from conftest import Kubectl, wait_for
from vision_node_contract.json_types import Json

FOLDER = "batches"
"""Folder in the inbox for the images of these tests."""

UPLOADS = 8
"""Number of simultaneous uploads to the inbox."""

IN_BUCKET = """
import asyncio, json, sys
from vision_node_contract.clients.bucket import Bucket, BucketSettings
told = json.load(sys.stdin)
async def main():
    async with Bucket.open(BucketSettings.from_env()) as bucket:
        for key, data in told["put"].items():
            await bucket.put(bucket.folders.inbox_key(key), bytes.fromhex(data), "image/jpeg")
        prefix = bucket.folders.batches + told["uid"] + "/"
        pages = [page async for page in bucket.list_all(prefix)]
    print(json.dumps([it.key.removeprefix(prefix) for page in pages for it in page]))
asyncio.run(main())
"""
"""Program that stores objects in the inbox, which may be no images, and prints the keys of a
batch's objects."""


class Batches:
    """The ImageBatches of the release."""

    def __init__(self, kubectl: Kubectl, api: httpx.Client) -> None:
        self._kubectl = kubectl
        self._api = api

    def create(self, *names: str, **spec: Any) -> None:
        """Apply ImageBatches with the same spec."""
        common = {"apiVersion": "vision-node.dev/v1alpha1", "kind": "ImageBatch", "spec": spec}
        items = [{**common, "metadata": {"name": name}} for name in names]
        manifest = {"apiVersion": "v1", "kind": "List", "items": items}
        self._kubectl("apply", "-f", "-", input=json.dumps(manifest))

    def patch(self, name: str, **spec: Any) -> None:
        """Change fields of an ImageBatch's spec."""
        change = json.dumps({"spec": spec})
        self._kubectl("patch", "imagebatch", name, "--type=merge", "-p", change)

    def wait(self, name: str, condition: str) -> Json:
        """Wait for a condition such as `Complete`, and return the status."""
        waiting = ("wait", f"--for=condition={condition}", f"imagebatch/{name}", "--timeout=60s")
        self._kubectl(*waiting)
        return self.status(name)

    def status(self, name: str) -> Json:
        """Return the status of an ImageBatch."""
        found: Json = self._get(name)["status"]
        return found

    def uid(self, name: str) -> str:
        """Return the uid of an ImageBatch."""
        return str(self._get(name)["metadata"]["uid"])

    def text(self, name: str, after: int = 0) -> str:
        """Return the results of an ImageBatch from the part with the number `after`.

        The API learns of new parts from a watch, so wait until it knows those that kubectl shows.
        """
        parts = self.status(name).get("results", {}).get("index", 0)
        wait_for(lambda: self.state(name)["results"]["parts"], lambda known: known >= parts)
        answer = self._api.get(f"/batches/{name}/results", params={"after": after})
        assert answer.status_code == 200, answer.text
        return answer.text

    def state(self, name: str) -> Json:
        """Return the response to GET /batches/{name}."""
        answer = self._api.get(f"/batches/{name}")
        assert answer.status_code == 200, answer.text
        found: Json = answer.json()
        return found

    def lines(self, name: str) -> list[Json]:
        """Return the lines of an ImageBatch's results."""
        return [json.loads(line) for line in self.text(name).split("\n") if line]

    def shards(self, uid: str) -> list[str]:
        """Return the names of an ImageBatch's shards that exist."""
        selector = ("-l", f"vision-node.dev/batch={uid}", "-o", "name")
        return self._kubectl("get", "imagejobs", *selector).split()

    def objects(self, uid: str, put: dict[str, bytes] | None = None) -> list[str]:
        """Store objects in the inbox. Return the names of an ImageBatch's objects in the bucket."""
        told = {"uid": uid, "put": {key: data.hex() for key, data in (put or {}).items()}}
        command = ("exec", "-i", "deploy/vision-node-api", "--", "python", "-c", IN_BUCKET)
        found: list[str] = json.loads(self._kubectl(*command, input=json.dumps(told)))
        return found

    def upload(self, images: dict[str, bytes]) -> None:
        """Store images through POST /inbox, by name below FOLDER."""

        def post(name: str) -> None:
            file = {"file": ("image", images[name])}
            answer = self._api.post(f"/inbox/{FOLDER}/{name}", files=file)
            assert answer.status_code in {200, 201}, answer.text

        with ThreadPoolExecutor(UPLOADS) as pool:
            list(pool.map(post, images))

    def until_some_are_done(self, name: str) -> int:
        """Wait until some images have been counted, but not all. Return their number."""
        return wait_for(lambda: done(self.status(name)), bool)

    def _get(self, name: str) -> Json:
        found: Json = json.loads(self._kubectl("get", "imagebatch", name, "-o", "json"))
        return found


def done(status: Json) -> int:
    """Return how many images have been described, according to a status."""
    number: int = status.get("images", {}).get("done", 0)
    return number


def condition(status: Json, kind: str) -> Json:
    """Return a condition in a status, or an empty dict if it is not set."""
    return next((it for it in status.get("conditions", []) if it["type"] == kind), {})


def reasons(lines: Iterable[Json]) -> dict[str, str]:
    """Return why images failed, by customId."""
    return {line["customId"]: line["error"]["reason"] for line in lines if "error" in line}


def manifest(lines: Iterable[Json]) -> bytes:
    """Return a list of images in JSON Lines."""
    return "".join(f"{json.dumps(line)}\n" for line in lines).encode()
