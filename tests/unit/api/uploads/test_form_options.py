"""Tests of options in forms and query strings."""

import httpx
import pytest
from api_fakes import LIMIT, Cluster
from form_bytes import FORM_TYPE, file, form, part, text
from form_requests import BASE64, EMPTY_INPUT, NO_IMAGE, PNG, submit

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
    params = {**FIELDS, "describer": "newest"}
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
        ([text("max_length", "300"), text("prompt", "snake case")], "?max_length=1", "snake case"),
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


IGNORED: dict[str, bytes] = {
    "a blank field": text("note", " \r\n"),
    "an empty file input": EMPTY_INPUT,
    "the character set of a browser": text("_charset_", "UTF-8"),
    "a submit button": text("submit", "Send"),
    "a limit of PHP": text("MAX_FILE_SIZE", "30000"),
    "a field without a name": part("form-data", b"x"),
    "text in the field of the image": text("upload", '{"id": 1}'),
    "text in the documented field": text("file", "x" * (LIMIT - 2000)),
    "another file": file("notes", NO_IMAGE, "a.txt"),
}


@pytest.mark.parametrize("case", IGNORED)
async def test_fields_that_no_one_fills_in_are_ignored(
    client: httpx.AsyncClient, case: str
) -> None:
    body = form(IGNORED[case], file("upload", PNG))
    assert (await submit(client, body)).status_code == 202


LISTED = (
    "describer, prompt, language, detail, maxLength, fallback, text, ttlSeconds, labels, "
    "callbackURL"
)

UNKNOWN: dict[str, tuple[bytes, str]] = {
    "a misspelled option": (
        text("promt", "x"),
        f"The form field 'promt' is unknown. Did you mean prompt? Known: file, {LISTED}, "
        "priority, reuse.",
    ),
    "another case": (text("MAXLENGTH", "5"), "Did you mean maxLength?"),
    "nothing similar": (text("q" * 90, "x"), f"The form field '{'q' * 40}' is unknown. Known: "),
    "no letter": (text("\u202e", "x"), "The form field '' is unknown."),
    "long text": (text("note", "x" * (LIMIT - 2000)), "The form field 'note' is unknown."),
    "text that begins like a bitmap": (text("note", "BMW or Audi? Which of the two?"), "'note'"),
}


@pytest.mark.parametrize("case", UNKNOWN)
async def test_unknown_form_field_is_refused(
    client: httpx.AsyncClient, cluster: Cluster, case: str
) -> None:
    field, detail = UNKNOWN[case]
    for body in (form(field, file("file", PNG)), form(file("file", PNG), field)):
        problem = (await submit(client, body)).json()
        assert (problem["status"], problem["reason"]) == (422, "OptionsInvalid")
        assert detail in problem["detail"]
    assert cluster.jobs == {}
