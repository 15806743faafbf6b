"""Tests of POST /batches/{name}/retry."""

import asyncio
import hashlib
import json
import zlib
from typing import Any

import httpx
import pytest
from api_fakes import LIMIT, Cluster
from batch_fixture import MANIFEST, NAME, UID, Batch, custom_id
from fakes.s3 import S3
from vision_node_api.services.batches import failed_images, retry, upload_writer
from vision_node_api.services.batches.batches import Batches
from vision_node_api.services.batches.image_copies import ImageSource, NotCopiedError
from vision_node_contract.batch_objects import IndexEntry, LineError, ManifestLine, ZipMember
from vision_node_contract.batch_uploads import UploadedImage, UploadFolder
from vision_node_contract.clients.bucket import Bucket
from vision_node_contract.clients.kube import KubeError, QuotaError, UnavailableError
from vision_node_contract.models.description import Options

PATH = f"/batches/{NAME}/retry"
INBOX = "inbox/aaaabbbbcccc/"
UPLOADS = f"batches/aaaabbbbcccc/{UID}/u/"
ERROR = {"reason": "ImageUnreadable", "message": "it is no image"}


def image(index: int) -> bytes:
    return b"\x89PNG image %d" % index


class Finished:
    """A finished batch of 10 images, of which some have failed."""

    def __init__(self, batch: Batch, cluster: Cluster, s3: S3) -> None:
        self.batch, self.cluster, self.s3 = batch, cluster, s3
        self.lines = [
            ManifestLine(index=it, custom_id=custom_id(it), key=f"{INBOX}{it}")
            for it in range(batch.total)
        ]
        for index in range(batch.total):
            s3.put(f"{INBOX}{index}", image(index))

    def fail(self, *indexes: int) -> None:
        """Let these images fail, and the others be done."""
        texts = []
        for index in range(self.batch.total):
            outcome = {"error": ERROR} if index in indexes else {"result": {"caption": "a cat"}}
            texts.append(json.dumps({"index": index, "customId": custom_id(index), **outcome}))
        data = "\n".join(texts).encode() + b"\n"
        entry = self.batch.shard(0, self.batch.total - 1, failed=len(indexes))
        self.s3.put(str(entry.key), data)
        digest = hashlib.sha256(data).hexdigest()
        update = {"sha256": digest, "size_bytes": len(data)}
        self.batch.count(entry.model_copy(update=update))
        self.publish()

    def publish(self, phase: str = "done", **metadata: Any) -> None:
        self.batch.phase = phase
        text = b"".join(json.dumps(it.to_json()).encode() + b"\n" for it in self.lines)
        self.s3.put(f"{MANIFEST}000000000", text)
        self.cluster.batches[NAME] = self.batch.body(**metadata)

    def change(self, index: int, **changes: Any) -> None:
        """Change the line of an image in the manifest."""
        self.lines[index] = self.lines[index].model_copy(update=changes)

    def uploaded(self, name: str) -> dict[str, tuple[bytes, UploadedImage]]:
        """Return the images of a new batch with their lines, by customId."""
        body = self.cluster.batches[name]
        upload = body["spec"]["upload"]
        assert upload["complete"] is True
        prefix = f"batches/aaaabbbbcccc/{body['metadata']['uid']}/u/{upload['attempt']}/"
        found = {}
        for number in range(upload["lists"]):
            for text in self.s3.objects[f"{prefix}l{number:09}"].data.splitlines():
                line = UploadedImage.model_validate_json(text)
                data = self.s3.objects[prefix + str(line.object)].data
                found[line.custom_id] = (data[line.offset : line.offset + line.length], line)
        return found


@pytest.fixture
def finished(batch: Batch, cluster: Cluster, s3: S3) -> Finished:
    return Finished(batch, cluster, s3)


async def test_failed_images_are_described_again(
    web: httpx.AsyncClient, finished: Finished, cluster: Cluster
) -> None:
    options = {"prompt": "Which animal?"}
    finished.batch.spec = {
        "prefix": "inbox/holiday/",
        "describer": "openai",
        "options": options,
        "priority": 7,
        "cancel": True,
        "suspend": True,
    }
    finished.change(5, options=Options(language="de"))
    finished.fail(2, 5)
    kept = {"vision-node.dev/owner": "ada", "team": "web", "example.com/tier": "gold"}
    tools = {"app.kubernetes.io/managed-by": "Helm", "vision-node.dev/request": "x" * 32}
    finished.publish(labels={**kept, **tools})
    response = await web.post(PATH)

    assert response.status_code == 202, response.text
    answer = response.json()
    name = answer["name"]
    assert answer == {
        "name": name,
        "uid": f"uid-of-{name}",
        "status": "queued",
        "images": 2,
        "skipped": 0,
        "refused": {"count": 0, "files": []},
        "links": {"self": f"/batches/{name}", "results": f"/batches/{name}/results"},
    }
    assert response.headers["location"] == f"/batches/{name}"
    assert name.startswith("batch-")

    uploaded = finished.uploaded(name)
    assert {it: data for it, (data, _) in uploaded.items()} == {
        custom_id(2): image(2),
        custom_id(5): image(5),
    }
    assert uploaded[custom_id(2)][1].options is None
    assert uploaded[custom_id(5)][1].options == Options(language="de")

    created = cluster.batches[name]
    request = created["metadata"]["labels"].pop("vision-node.dev/request")
    assert name == f"batch-{request}"
    assert created["metadata"]["labels"] == kept
    spec = {it: value for it, value in created["spec"].items() if it != "upload"}
    assert spec == {
        "describer": "openai",
        "options": options,
        "priority": 7,
        "suspend": False,
        "cancel": False,
    }


async def test_image_of_a_lost_worker_is_described_again(
    web: httpx.AsyncClient, finished: Finished
) -> None:
    finished.batch.count(IndexEntry(shard="holiday-0b1c-3", ranges="3", failed=1))
    finished.publish("failed")
    name = (await web.post(PATH)).json()["name"]
    assert finished.uploaded(name).keys() == {custom_id(3)}


async def test_lost_results_of_failed_images_are_made_again(
    web: httpx.AsyncClient, finished: Finished, s3: S3
) -> None:
    lost = finished.batch.shard(0, 2, failed=1)
    finished.batch.count(lost, finished.batch.shard(3, 9))
    del s3.objects[str(lost.key)]
    finished.publish()
    name = (await web.post(PATH)).json()["name"]
    assert finished.uploaded(name).keys() == {custom_id(it) for it in range(3)}


async def test_results_without_failed_images_are_not_read(
    web: httpx.AsyncClient, finished: Finished, s3: S3
) -> None:
    finished.batch.count(finished.batch.shard(0, 9))
    finished.publish()
    response = await web.post(PATH)
    assert (response.status_code, response.json()["reason"]) == (409, "NothingFailed")
    assert not any("/results/" in it for it in s3.requests)


@pytest.mark.parametrize("phase", ["queued", "processing"])
async def test_batch_must_be_finished(
    web: httpx.AsyncClient, finished: Finished, phase: str
) -> None:
    finished.fail(1)
    finished.publish(phase)
    response = await web.post(PATH)
    assert (response.status_code, response.json()["reason"]) == (409, "NotFinished")


async def test_unknown_batch_can_not_be_retried(web: httpx.AsyncClient) -> None:
    response = await web.post("/batches/unknown/retry")
    assert (response.status_code, response.json()["reason"]) == (404, "BatchNotFound")


async def test_images_that_are_gone_are_refused(
    web: httpx.AsyncClient, finished: Finished, s3: S3
) -> None:
    duplicate = LineError(reason="DuplicateCustomId", message="give each image its own")
    finished.change(3, key=None, error=duplicate)
    finished.change(4, key="images/aaaabbbbcccc/secret")
    finished.change(6, key=f"{UPLOADS}x/p000000000", offset=0, length=LIMIT + 1, size=LIMIT + 1)
    del s3.objects[f"{INBOX}1"]
    s3.put(f"{INBOX}5", b"")
    s3.put(f"{INBOX}7", bytes(LIMIT + 1))
    s3.put("images/aaaabbbbcccc/secret")
    finished.fail(1, 2, 3, 4, 5, 6, 7)
    answer = (await web.post(PATH)).json()

    assert answer["images"] == 1
    assert answer["refused"]["count"] == 6
    assert {it["file"]: it["reason"] for it in answer["refused"]["files"]} == {
        custom_id(1): "ImageGone",
        custom_id(3): "DuplicateCustomId",
        custom_id(4): "ImageGone",
        custom_id(5): "EmptyFile",
        custom_id(6): "ImageTooLarge",
        custom_id(7): "ImageTooLarge",
    }
    assert finished.uploaded(answer["name"]).keys() == {custom_id(2)}


@pytest.mark.parametrize("lost", ["images", "manifest"])
async def test_batch_whose_images_are_all_gone_is_not_created(
    web: httpx.AsyncClient, finished: Finished, cluster: Cluster, s3: S3, lost: str
) -> None:
    finished.fail(1, 2)
    for key in [f"{INBOX}1", f"{INBOX}2"] if lost == "images" else [f"{MANIFEST}000000000"]:
        del s3.objects[key]
    response = await web.post(PATH)
    assert (response.status_code, response.json()["reason"]) == (410, "ImagesGone")
    assert response.json()["refused"]["count"] == 2
    assert cluster.batch_changes == []


async def test_too_many_failed_images_are_not_copied(
    web: httpx.AsyncClient,
    finished: Finished,
    cluster: Cluster,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(failed_images, "MAX_FAILED", 2)
    finished.fail(1, 2, 3)
    response = await web.post(PATH)
    assert (response.status_code, response.json()["reason"]) == (413, "TooManyFailedImages")
    assert cluster.batch_changes == []


async def test_more_images_than_fit_a_group_keep_their_order(
    web: httpx.AsyncClient, finished: Finished, s3: S3, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(retry, "GROUP_IMAGES", 3)
    finished.fail(*range(10))
    name = (await web.post(PATH)).json()["name"]
    assert list(finished.uploaded(name)) == [custom_id(it) for it in range(10)]
    assert sum("/m1/" in it for it in s3.requests) == 1


async def test_batch_is_deleted_if_its_images_can_not_be_stored(
    web: httpx.AsyncClient, finished: Finished, cluster: Cluster, s3: S3
) -> None:
    finished.fail(1)

    async def fail(key: str) -> None:
        s3.fails = (503, "SlowDown")

    s3.before_put = fail
    response = await web.post(PATH)
    assert (response.status_code, response.json()["reason"]) == (503, "StorageUnavailable")
    assert [method for method, *_ in cluster.batch_changes] == ["POST", "DELETE"]
    assert cluster.batches.keys() == {NAME}


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (UnavailableError(0, "NoAnswer", "no answer"), (503, "KubernetesUnavailable")),
        (QuotaError(403, "Forbidden", "exceeded quota"), (429, "QuotaExceeded")),
        (KubeError(422, "Invalid", "spec.describer is odd"), (422, "BatchRefused")),
    ],
)
async def test_refusal_of_kubernetes_is_reported(
    web: httpx.AsyncClient,
    finished: Finished,
    cluster: Cluster,
    error: KubeError,
    expected: tuple[int, str],
) -> None:
    finished.fail(1)
    cluster.batch_refusals = [error]
    response = await web.post(PATH)
    assert (response.status_code, response.json()["reason"]) == expected


async def test_batch_stays_if_it_is_unknown_whether_it_was_completed(
    web: httpx.AsyncClient, finished: Finished, cluster: Cluster, s3: S3
) -> None:
    """Its images may be described already."""
    finished.fail(1)

    async def lose_answers(_: str) -> None:
        cluster.batch_refusals = [UnavailableError(0, "NoAnswer", "no answer") for _ in range(9)]

    s3.before_put = lose_answers
    response = await web.post(PATH)
    assert (response.status_code, response.json()["reason"]) == (503, "KubernetesUnavailable")
    methods = [method for method, *_ in cluster.batch_changes]
    assert methods[:2] == ["POST", "PATCH"]
    assert "DELETE" not in methods


async def test_repeated_request_creates_no_second_batch(
    web: httpx.AsyncClient, finished: Finished, cluster: Cluster
) -> None:
    finished.fail(1)
    headers = {"Idempotency-Key": "k"}
    names = [(await web.post(PATH, headers=headers)).json()["name"] for _ in range(2)]
    assert names[0] == names[1]
    assert [method for method, *_ in cluster.batch_changes] == ["POST", "PATCH"]
    assert (await web.post(PATH)).json()["name"] != names[0]


async def test_interrupted_request_is_continued(
    web: httpx.AsyncClient, finished: Finished, cluster: Cluster
) -> None:
    finished.fail(1)
    headers = {"Idempotency-Key": "k"}
    name = (await web.post(PATH, headers=headers)).json()["name"]
    cluster.batches[name]["spec"]["upload"] = {"complete": False}
    answer = (await web.post(PATH, headers=headers)).json()
    assert (answer["name"], answer["images"]) == (name, 1)
    assert finished.uploaded(name).keys() == {custom_id(1)}


async def test_lists_with_long_prompts_are_small_enough_for_the_archiver(
    web: httpx.AsyncClient, finished: Finished, s3: S3, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(upload_writer, "LIST_BYTES", 10_000)
    for index in range(10):
        finished.change(index, options=Options(prompt="x" * 4000))
    finished.fail(*range(10))
    name = (await web.post(PATH)).json()["name"]
    assert list(finished.uploaded(name)) == [custom_id(it) for it in range(10)]
    sizes = [len(it.data) for key, it in s3.objects.items() if "/l0" in key]
    assert len(sizes) == 4
    assert max(sizes) < 15_000


async def test_lost_answer_to_the_creation_does_not_fail_the_request(
    web: httpx.AsyncClient, finished: Finished, cluster: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    finished.fail(1)
    create = cluster._create_batch

    def lose_answer(*arguments: Any) -> Any:
        create(*arguments)
        monkeypatch.undo()
        raise UnavailableError(0, "NoAnswer", "no answer")

    monkeypatch.setattr(cluster, "_create_batch", lose_answer)
    response = await web.post(PATH)
    assert response.status_code == 202, response.text
    assert finished.uploaded(response.json()["name"]).keys() == {custom_id(1)}


async def test_batch_of_another_request_is_not_taken_over(
    web: httpx.AsyncClient, finished: Finished, cluster: Cluster
) -> None:
    finished.fail(1)
    headers = {"Idempotency-Key": "k"}
    name = (await web.post(PATH, headers=headers)).json()["name"]
    body = cluster.batches[name]
    body["metadata"]["labels"].clear()
    body["spec"]["upload"] = {"complete": False}
    response = await web.post(PATH, headers=headers)
    assert (response.status_code, response.json()["reason"]) == (409, "BatchExists")


async def test_batch_with_a_key_stays_for_the_next_attempt(
    web: httpx.AsyncClient, finished: Finished, cluster: Cluster, s3: S3
) -> None:
    """Another request with this key may be copying to it."""
    finished.fail(1)
    headers = {"Idempotency-Key": "k"}

    async def fail(key: str) -> None:
        s3.fails = (503, "SlowDown")

    s3.before_put = fail
    assert (await web.post(PATH, headers=headers)).status_code == 503
    assert len(cluster.batches) == 2


async def test_one_batch_is_copied_at_a_time(
    web: httpx.AsyncClient, finished: Finished, s3: S3
) -> None:
    finished.fail(1)
    reached, release = asyncio.Event(), asyncio.Event()

    async def wait(key: str) -> None:
        reached.set()
        await release.wait()

    s3.before_put = wait
    first = asyncio.create_task(web.post(PATH))
    await reached.wait()
    second = await web.post(PATH)
    release.set()

    assert (second.status_code, second.json()["reason"]) == (429, "TooManyRetries")
    assert second.headers["retry-after"] == "10"
    assert (await first).status_code == 202
    assert (await web.post(PATH)).status_code == 202


def zipped(data: bytes, method: int, name: bytes = b"cat.jpg") -> tuple[bytes, ZipMember]:
    """Return a member of a zip file with its local header."""
    packer = zlib.compressobj(wbits=-15)
    stored = packer.compress(data) + packer.flush() if method else data
    header = b"PK\x03\x04" + bytes(22) + len(name).to_bytes(2, "little") + b"\0\0" + name
    member = ZipMember(method=method, compressed_size=len(stored), crc32=zlib.crc32(data))  # type: ignore[arg-type]
    return header + stored, member


@pytest.mark.parametrize("method", [None, 0, 8])
async def test_uploaded_image_is_read_from_its_object(
    s3: S3, bucket: Bucket, method: int | None
) -> None:
    member = None
    data = image(1) * 50
    stored = data
    if method is not None:
        stored, member = zipped(data, method)
    key = f"{UploadFolder(bucket.folders, UID).prefix}abcdefghij/p000000000"
    s3.put(key, b"before" + stored + b"after")
    line = ManifestLine(
        index=0,
        custom_id="a",
        key=key,
        offset=6,
        length=len(stored),
        size=len(data),
        zip=member,
    )
    source = ImageSource(bucket, UID, LIMIT)
    assert await source.get(line) == data

    damaged = line.model_copy(update={"offset": 7})
    if member:
        with pytest.raises(NotCopiedError, match="damaged"):
            await source.get(damaged)
    for offset in (30 + len(stored), 10_000):
        beyond = line.model_copy(update={"offset": offset})
        with pytest.raises(NotCopiedError, match="was deleted"):
            await source.get(beyond)


async def test_image_that_was_uploaded_alone_is_read(s3: S3, bucket: Bucket) -> None:
    key = UploadFolder(bucket.folders, UID).image_key("a.jpg")
    s3.put(key, image(1))
    line = ManifestLine(index=0, custom_id="a.jpg", key=key, etag='"old"', size=3)
    assert await ImageSource(bucket, UID, LIMIT).get(line) == image(1)


async def test_image_of_another_batch_is_not_read(s3: S3, bucket: Bucket) -> None:
    key = UploadFolder(bucket.folders, "another").image_key("a.jpg")
    s3.put(key, image(1))
    line = ManifestLine(index=0, custom_id="a.jpg", key=key)
    with pytest.raises(NotCopiedError, match="no image of this batch"):
        await ImageSource(bucket, UID, LIMIT).get(line)


async def test_retry_is_documented(client: httpx.AsyncClient, batches: Batches) -> None:
    paths = (await client.get("/openapi.json")).json()["paths"]
    responses = paths["/batches/{name}/retry"]["post"]["responses"]
    assert {"202", "404", "409", "410", "413", "429", "503"} <= responses.keys()
