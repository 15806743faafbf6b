"""Tests of names under /inbox: valid ones are accepted, and invalid ones are refused."""

import re
from pathlib import Path

import httpx
import pytest
import yaml
from api_server import Connection, ask, post
from fakes.s3 import S3
from fastapi import FastAPI
from inbox_requests import PNG, RAW, put
from vision_node_api.middleware.stack import add_middleware
from vision_node_api.services.inbox_name import (
    MAX_KEY_BYTES,
    MAX_NAME_BYTES,
    MAX_PART_BYTES,
    is_inbox_name,
)
from vision_node_api.web.http_settings import HttpSettings

VALID = [
    "photo.jpg",
    "0",
    "Photo_1-a.JPG",
    "holiday/2026/photo.jpg",
    "holiday/_DSC0001.jpg",
    "holiday/-.jpg",
    "a.",
    "a" * MAX_PART_BYTES,
    "/".join(["a" * 100] * 4) + "/b",
]

INVALID = {
    "empty": "",
    "a trailing slash": "holiday/",
    "a leading slash": "/photo.jpg",
    "an empty part": "a//b",
    "a parent folder": "../images/a",
    "parent folders in the middle": "a/../../images/a",
    "a percent-encoded parent folder": "%2e%2e/images/a",
    "a parent folder with encoded slashes": "..%2Fimages%2Fa",
    "a parent folder that is encoded twice": "%252e%252e/images",
    "a dot as a part": "a/%2e/b",
    "consecutive dots": "a..b",
    "a hidden file": ".jpg",
    "a hidden file in a folder": "a/.DS_Store",
    "a NUL": "a%00.jpg",
    "a line break": "a%0d%0aX-A:%20b",
    "a line break at the end": "a%0a",
    "a tab": "a%09b",
    "DEL": "a%7f",
    "a space": "my%20photo.jpg",
    "a backslash": "a%5Cb",
    "a plus sign": "a+b",
    "a percent sign": "a%25b",
    "a question mark": "a%3Fb",
    "é, composed": "%C3%A9",
    "é, decomposed": "e%CC%81",
    "a full-width letter": "%EF%BD%81",
    "a digit from another script": "%D9%A1",
    "invalid UTF-8": "a%FF",
    "a surrogate": "%ED%A0%80",
    "a leading hyphen": "-rf",
    "a leading underscore": "_a",
    "a part that is too long": "a" * (MAX_PART_BYTES + 1),
    "a name that is too long": "/".join(["a" * 100] * 5) + "/bc",
    "the name of one of MinIO's own files": "a/xl.meta",
}
"""Invalid names, percent-encoded as they appear in a request."""


class TestNames:
    @pytest.mark.parametrize("name", VALID)
    async def test_valid_name_is_accepted(self, web: httpx.AsyncClient, s3: S3, name: str) -> None:
        assert (await put(web, name, PNG)).status_code == 201
        assert list(s3.objects) == [f"inbox/aaaabbbbcccc/{name}"]
        assert (await web.get(f"/inbox/{name}")).json()["name"] == name
        assert (await web.delete(f"/inbox/{name}")).status_code == 204

    @pytest.mark.parametrize("case", INVALID)
    async def test_invalid_name_is_refused(self, port: int, s3: S3, case: str) -> None:
        """The names are sent as raw bytes, because an HTTP library would normalize some of them."""
        s3.put("images/a")
        name = INVALID[case]

        async with Connection.open(port) as connection:
            # GET is left out for the empty name, because GET /inbox/ returns the list.
            for method in ("POST", "GET", "DELETE") if name else ("POST", "DELETE"):
                head = f"{method} /inbox/{name} HTTP/1.1\r\nHost: api\r\nContent-Length: 0\r\n\r\n"
                await connection.send(head.encode())
                response = await connection.response()
                assert response.is_problem
                outcome = (response.status, response.json["reason"])
                assert outcome == (422, "InvalidName"), method
                assert response.json["detail"].isprintable()

        assert (s3.requests, list(s3.objects)) == ([], ["images/a"])

    async def test_encoded_slash_counts_as_a_slash(self, port: int, s3: S3) -> None:
        """OpenAPI clients, such as the page at /docs, encode the slashes in a path parameter."""
        response = await ask(
            port, post(PNG, "Content-Type: image/png", path="/inbox/holiday%2Fa.png")
        )
        assert (response.status, response.headers["location"]) == (201, "/inbox/holiday/a.png")
        assert list(s3.objects) == ["inbox/aaaabbbbcccc/holiday/a.png"]

    async def test_location_is_under_the_root_path(self, app: FastAPI) -> None:
        served = add_middleware(app, HttpSettings(root_path="/apps/vision"), app.state.metrics)
        transport = httpx.ASGITransport(served)
        async with httpx.AsyncClient(transport=transport, base_url="http://api") as client:
            for path in ("/inbox/a.png", "/apps/vision/inbox/a.png"):
                response = await client.post(path, content=PNG, headers=RAW)
                assert response.headers["location"] == "/apps/vision/inbox/a.png"

    @pytest.mark.parametrize("name", [*VALID, *INVALID.values(), "a b", "é", "a\n", "a/b\n"])
    def test_every_valid_name_is_allowed_in_an_imagejob(self, name: str) -> None:
        crd = yaml.safe_load(Path("crds/imagejobs.vision-node.dev.yaml").read_text())
        version = crd["spec"]["versions"][0]
        spec = version["schema"]["openAPIV3Schema"]["properties"]["spec"]
        rule = spec["properties"]["image"]["properties"]["key"]
        key = f"inbox/aaaabbbbcccc/{name}"
        allowed = bool(re.search(rule["pattern"], key)) and len(key) <= rule["maxLength"]
        allowed = allowed and not (".." in key or "//" in key or key.endswith(("/", "\n")))
        assert is_inbox_name(name) <= allowed
        assert rule["maxLength"] == MAX_KEY_BYTES == MAX_NAME_BYTES + len("inbox/aaaabbbbcccc/")
