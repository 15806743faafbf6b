"""Tests of POST /batches with a form that has many files."""

import httpx
import pytest
from api_fakes import LIMIT, picture
from form_bytes import FORM_TYPE, chunks, file, form, part, text
from uploaded_batches import FORM, World, form_of, refused
from vision_node_contract.models.description import Options

PNG, JPEG = picture(), picture("JPEG")
LARGE = PNG + bytes(LIMIT + 1 - len(PNG))


async def test_form_becomes_a_batch(web: httpx.AsyncClient, world: World) -> None:
    files = {"a.png": PNG, "holiday/b.jpg": JPEG, "c.png": PNG + bytes(1000)}
    response = await web.post("/batches", content=form_of(files), headers=FORM)

    assert response.status_code == 202, response.text
    answer = response.json()
    name = answer["name"]
    assert answer == {
        "name": name,
        "uid": world.batch(name).metadata.uid,
        "status": "queued",
        "images": 3,
        "skipped": 0,
        "refused": {"count": 0, "files": []},
        "links": {"self": f"/batches/{name}", "results": f"/batches/{name}/results"},
    }
    assert response.headers["location"] == f"/batches/{name}"
    assert name.startswith("batch-")
    assert world.images(name) == files
    assert len(world.keys()) == 2, "one pack and one list"


@pytest.mark.parametrize("piece", [1, 7, 1000])
async def test_form_may_arrive_in_small_pieces(
    web: httpx.AsyncClient, world: World, piece: int
) -> None:
    files = {"a.png": PNG, "b.jpg": JPEG}
    body = form_of(files, prompt="What is it?")

    async def pieces() -> object:
        for chunk in chunks(body, piece):
            yield chunk

    response = await web.post("/batches", content=pieces(), headers=FORM)
    assert response.status_code == 202, response.text
    assert world.images(response.json()["name"]) == files


async def test_refused_files_do_not_fail_the_others(web: httpx.AsyncClient, world: World) -> None:
    body = form(
        file("files", PNG, "a.png"),
        file("files", b"", "empty.png"),
        file("files", b"a text that is long enough to be one", "notes.txt"),
        file("files", b"BM", "short.bmp"),
        file("files", LARGE, "large.png"),
        file("files", PNG, "../up.png"),
        file("files", PNG, "/etc/a.png"),
        file("files", JPEG, "a.png"),
        file("files", b"PK\3\4" + bytes(99), "photos.zip"),
        file("files", PNG, ".hidden.png"),
        file("files", PNG, "__MACOSX/a.png"),
        file("files", b"", ""),
        file("files", PNG, ""),
        file("files", JPEG, "large.png"),
    )
    answer = (await web.post("/batches", content=body, headers=FORM)).json()

    assert refused(answer) == {
        "empty.png": "EmptyFile",
        "notes.txt": "UnsupportedFormat",
        "short.bmp": "UnsupportedFormat",
        "large.png": "ImageTooLarge",
        "../up.png": "NameInvalid",
        "/etc/a.png": "NameInvalid",
        "a.png": "DuplicateCustomId",
        "photos.zip": "NestedArchive",
        "": "NameInvalid",
    }
    assert answer["skipped"] == 2
    assert world.images(answer["name"]) == {"a.png": PNG, "large.png": JPEG}
    assert all(it["message"].endswith(".") for it in answer["refused"]["files"])


async def test_only_the_first_thousand_refused_files_are_listed(web: httpx.AsyncClient) -> None:
    files = [file("files", b"", f"{number}.png") for number in range(1200)]
    body = form(*files, file("files", PNG, "a.png"))
    answer = (await web.post("/batches", content=body, headers=FORM)).json()
    assert (answer["refused"]["count"], len(answer["refused"]["files"])) == (1200, 1000)


async def test_upload_without_an_acceptable_image_creates_nothing(
    web: httpx.AsyncClient, world: World
) -> None:
    body = form_of({"notes.txt": b"no image", ".hidden": PNG})
    response = await web.post("/batches", content=body, headers=FORM)
    problem = response.json()
    assert (response.status_code, problem["reason"]) == (422, "NoImages")
    assert (refused(problem), problem["skipped"]) == ({"notes.txt": "UnsupportedFormat"}, 1)
    assert (world.api.bodies, world.keys()) == ({}, [])


async def test_options_are_in_the_form_or_in_the_query(
    web: httpx.AsyncClient, world: World
) -> None:
    body = form_of({"a.png": PNG}, prompt="form", maxAttempts="2", suspend="true", submit="x")
    query = "?prompt=query&priority=-5&maxLength=50&parallelism=3&timeoutSeconds=9"
    more = "&maxFailedImages=0&maxTokens=1000&ttlSeconds=3600&name=holiday"
    response = await web.post(f"/batches{query}{more}", content=body, headers=FORM)

    assert response.json()["name"] == "holiday"
    spec = world.batch("holiday").spec
    assert spec.options == Options(prompt="form", max_length=50)
    assert (spec.describer, spec.priority, spec.parallelism, spec.max_attempts) == (
        *("metadata", -5, 3),
        2,
    )
    assert (spec.timeout_seconds, spec.max_failed_images, spec.max_tokens) == (9, 0, 1000)
    assert (spec.ttl_seconds_after_finished, spec.suspend) == (3600, True)


BROKEN = {
    "unknown field": (
        form(text("promt", "x"), file("files", PNG)),
        *(422, "OptionsInvalid", "Did you mean prompt? Known: files, describer, "),
    ),
    "late unknown field": (
        form(file("files", PNG), text("promt", "x")),
        *(422, "OptionsInvalid", "'promt'"),
    ),
    "late option": (form(file("files", PNG), text("prompt", "x")), 422, "OptionsInvalid", "prompt"),
    "invalid option": (form_of({"a.png": PNG}, maxAttempts="99"), 422, "OptionsInvalid", "maxAtt"),
    "long option": (form_of({"a.png": PNG}, prompt="x" * 20_000), 422, "OptionsInvalid", "prompt"),
    "invalid name": (form_of({"a.png": PNG}, name="No/Name"), 422, "OptionsInvalid", "name"),
    "no describer": (form_of({"a.png": PNG}, describer="no"), 422, "DescriberNotFound", "metadata"),
    "no end": (form_of({"a.png": PNG, "b.png": PNG})[:-40], 400, "BadRequest", "cut off"),
    "empty body": (b"", 400, "BadRequest", "empty"),
    "garbage": (b"x" * 9000, 400, "BadRequest", "boundary"),
    "garbage after a file": (
        form_of({"a.png": PNG})[:-4] + b"garbage" * 10,
        400,
        "BadRequest",
        "form",
    ),
}


@pytest.mark.parametrize("case", BROKEN)
async def test_broken_form_leaves_nothing_behind(
    web: httpx.AsyncClient, world: World, case: str
) -> None:
    body, status, reason, word = BROKEN[case]
    response = await web.post("/batches", content=body, headers=FORM)
    assert (response.status_code, response.json()["reason"]) == (status, reason), response.text
    assert word in response.json()["detail"]
    assert world.api.bodies == {}


async def test_long_names_with_encoding_are_read(web: httpx.AsyncClient, world: World) -> None:
    name = "雪" * 512
    encoded = "".join(f"%{byte:02x}" for byte in name.encode())
    body = form(part(f"form-data; name=\"f\"; filename*=UTF-8''{encoded}", PNG))
    answer = (await web.post("/batches", content=body, headers=FORM)).json()
    assert world.images(answer["name"]) == {name: PNG}


async def test_other_content_types_are_refused(web: httpx.AsyncClient) -> None:
    answers = [
        await web.post("/batches", content=PNG, headers={"Content-Type": kind})
        for kind in ("image/png", "text/plain", "application/gzip")
    ]
    assert [(it.status_code, it.json()["reason"]) for it in answers] == [
        (415, "NotAnUpload"),
        (415, "NotAnUpload"),
        (415, "ArchiveUnsupported"),
    ]
    encoded = {"Content-Type": FORM_TYPE, "Content-Encoding": "gzip"}
    answer = await web.post("/batches", content=b"x", headers=encoded)
    assert (answer.status_code, answer.json()["reason"]) == (415, "ContentEncodingUnsupported")
