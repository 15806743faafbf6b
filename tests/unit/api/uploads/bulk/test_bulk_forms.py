"""Tests of POST /batches with a form that has many files."""

import httpx
from api_fakes import LIMIT, picture
from form_bytes import file, form, part, text
from uploaded_batches import FORM, World, form_of, refused

PNG, JPEG = picture(), picture("JPEG")


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
