"""Tests of options in forms and query strings."""

import httpx
import pytest
from api_fakes import LIMIT, Cluster
from form_bytes import FORM_TYPE, file, form, text
from form_requests import BASE64, PNG, submit

FIELDS = {
    "prompt": "Which breed?",
    "language": "de",
    "detail": "high",
    "maxLength": "300",
    "fallback": "never",
    "text": "false",
}


@pytest.mark.parametrize("content_type", [FORM_TYPE, "image/png"])
async def test_options_may_be_query_parameters(
    client: httpx.AsyncClient, cluster: Cluster, content_type: str
) -> None:
    body = PNG if content_type == "image/png" else form(file("file", PNG))
    params = {**FIELDS, "describer": "newest", "unknown": "1", "file": "2"}
    response = await client.post(
        "/submit", content=body, params=params, headers={"Content-Type": content_type}
    )
    spec = cluster.jobs[response.json()["job_id"]].spec
    assert spec.describer == "newest"
    assert spec.options is not None
    assert spec.options.model_dump(by_alias=True) == {
        **FIELDS,
        "maxLength": 300,
        "text": False,
    }


@pytest.mark.parametrize(
    ("field", "query", "prompt"),
    [
        ([text("prompt", "of the form")], "?prompt=of+the+query", "of the form"),
        ([text("prompt", "  ")], "?prompt=of+the+query", "of the query"),
        ([text("prompt", "first"), text("prompt", "last")], "", "last"),
        ([file("prompt", b"from a file", "prompt.txt")], "", "from a file"),
        ([text("prompt", "größe")], "", "größe"),
        ([text("prompt", "größe".encode("latin-1"))], "", "größe"),
        ([], "?prompt=gr%C3%B6%C3%9Fe", "größe"),
        ([], "?prompt=%ED%A0%80", "\ufffd\ufffd\ufffd"),
        ([text("prompt", "BMW or Audi? Which of the two is on the left?")], "", None),
        ([text("prompt", b"\xed\xa0\x80")], "", "\u00ed\u00a0\u0080"),
        ([text("prompt", BASE64)], "", None),
    ],
)
async def test_option_text_is_decoded(
    client: httpx.AsyncClient, cluster: Cluster, field: list[bytes], query: str, prompt: str | None
) -> None:
    body = form(*field, file("file", PNG))
    response = await client.post(
        f"/submit{query}", content=body, headers={"Content-Type": FORM_TYPE}
    )
    assert response.status_code == 202, response.text

    options = cluster.jobs[response.json()["job_id"]].spec.options
    sent = field[0].split(b"\r\n")[3].decode() if prompt is None else prompt
    assert options is not None
    assert options.prompt == sent
    assert options.model_dump_json().encode()


async def test_text_of_an_unknown_field_may_be_long(client: httpx.AsyncClient) -> None:
    body = form(text("note", "x" * (LIMIT - 2000)), file("file", PNG))
    assert (await submit(client, body)).status_code == 202
