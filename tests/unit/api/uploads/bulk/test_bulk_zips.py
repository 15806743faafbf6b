"""Tests of POST /batches with a zip file. How members are judged is tested with list_members."""

import io
import zipfile

import httpx
import pytest
from api_fakes import LIMIT, picture
from api_server import Connection, until
from uploaded_batches import World, refused
from vision_node_api.services.jobs import Jobs

PNG = picture()
ZIP = {"Content-Type": "application/zip"}


def zip_of(files: dict[str, bytes]) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as file:
        for name, data in files.items():
            file.writestr(name, data)
    return out.getvalue()


WHOLE = zip_of({"a.png": PNG, "holiday/b.png": PNG, "c.txt": b"text", "__MACOSX/a.png": b"x"})


async def test_zip_becomes_a_batch(web: httpx.AsyncClient, world: World) -> None:
    url = "/batches?name=photos&prompt=x"
    answer = (await web.post(url, content=WHOLE, headers=ZIP)).json()

    assert (answer["name"], answer["images"], answer["skipped"]) == ("photos", 2, 1)
    assert refused(answer) == {"c.txt": "UnsupportedFormat"}
    lines = world.lines("photos")
    assert [(it.custom_id, it.object, it.size) for it in lines] == [
        ("a.png", "zip", len(PNG)),
        ("holiday/b.png", "zip", len(PNG)),
    ]
    assert all(it.zip and it.zip.method == zipfile.ZIP_DEFLATED for it in lines)
    (stored,) = (it.data for key, it in world.s3.objects.items() if key.endswith("/zip"))
    assert stored == WHOLE
    assert world.batch("photos").spec.options is not None


async def test_repeated_zip_returns_the_same_batch(web: httpx.AsyncClient, world: World) -> None:
    headers = {**ZIP, "Idempotency-Key": "k"}
    first, second = [
        (await web.post("/batches", content=WHOLE, headers=headers)).json() for _ in range(2)
    ]
    assert first["uid"] == second["uid"]
    assert len(world.keys()) == 2, "a zip file and a list"


BROKEN = {
    "empty": (b"", 400, "UploadBroken"),
    "garbage": (b"x" * 9000, 400, "UploadBroken"),
    "no central directory": (WHOLE[:200], 400, "UploadBroken"),
    "no images": (zip_of({"a.txt": b"text", "large.png": PNG + bytes(LIMIT)}), 422, "NoImages"),
    "no members": (zip_of({}), 422, "NoImages"),
}


@pytest.mark.parametrize("case", BROKEN)
async def test_broken_zip_leaves_nothing_behind(
    web: httpx.AsyncClient, world: World, case: str
) -> None:
    body, status, reason = BROKEN[case]
    response = await web.post("/batches", content=body, headers=ZIP)
    assert (response.status_code, response.json()["reason"]) == (status, reason), response.text
    assert world.api.bodies == {}


async def test_batch_is_deleted_if_the_client_leaves(port: int, world: World, jobs: Jobs) -> None:
    head = "POST /batches HTTP/1.1\r\nHost: api\r\nContent-Length: 99999\r\nContent-Type: "
    async with Connection.open(port) as connection:
        await connection.send(f"{head}application/zip\r\n\r\n".encode() + WHOLE)
        await until(lambda: bool(world.api.bodies))
        assert jobs.uploads.held_bytes > 0

    await until(lambda: not world.api.bodies and not jobs.uploads.uploads)
    assert jobs.uploads.held_bytes == 0


async def test_storage_outage_leaves_nothing_behind(web: httpx.AsyncClient, world: World) -> None:
    world.s3.fails = (503, "SlowDown")
    response = await web.post("/batches", content=WHOLE, headers=ZIP)
    assert response.status_code == 503
    assert world.api.bodies == {}
