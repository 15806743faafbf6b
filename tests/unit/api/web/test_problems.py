"""Tests that every odd request, sent over a real socket, gets a problem document."""

import pytest
from api_fakes import Cluster, FakeBucket
from api_server import ask, post
from form_bytes import FORM_TYPE, file, form, text
from http_requests import PNG, get
from vision_node_api.services.jobs import Jobs
from vision_node_api.web.http_protocol import MAX_HEAD_BYTES
from vision_node_contract.clients.kube import WatchEvent
from vision_node_contract.models.imagejob import ImageJob

SURROGATES = b"\xed\xa0\x80\xed\xb0\x80"


ODD: dict[str, tuple[bytes, int, str]] = {
    "an unknown path": (get("/nothing"), 404, "NotFound"),
    "a method that the path does not support": (get("/submit"), 405, "MethodNotAllowed"),
    "a rare method": (get("/status/x", method="PROPFIND"), 405, "MethodNotAllowed"),
    "an unknown method": (get("/status/x", method="BREW"), 400, "BadRequest"),
    "an unknown job": (get("/status/x"), 404, "JobNotFound"),
    "broken percent-encoding": (get("/status/%zz%"), 404, "JobNotFound"),
    "percent-encoding of invalid UTF-8": (get("/status/%ff%ed%a0%80"), 404, "JobNotFound"),
    "a result whose id is invalid UTF-8": (get("/result/%ff%ed%a0%80"), 404, "JobNotFound"),
    "NUL in a job's id": (get("/status/a%00b"), 404, "JobNotFound"),
    "line breaks in a job's id": (get("/result/a%0d%0aSet-Cookie:x"), 404, "JobNotFound"),
    "a line break at the end of a job's id": (get("/status/a%0a"), 404, "JobNotFound"),
    "a slash in a job's id": (get("/status/a%2fb"), 404, "NotFound"),
    "a very long id": (get("/status/" + "a" * 8000), 404, "JobNotFound"),
    "non-ASCII bytes in a path": (get("/status/größe"), 400, "BadRequest"),
    "invalid UTF-8 in a path": (get(b"/status/\xff"), 400, "BadRequest"),
    "invalid UTF-8 in a query": (get(b"/status/x?\xff=\xed\xa0\x80"), 400, "BadRequest"),
    "non-ASCII bytes in a header": (
        get("/status/x", b"X-A: \xff\xed\xa0\x80"),
        404,
        "JobNotFound",
    ),
    "non-ASCII bytes in Host": (get("/status/x", b"Host: \xff["), 404, "JobNotFound"),
    "an invalid Host": (
        get("/result/x").replace(b"Host: api", b"Host: [::1"),
        404,
        "JobNotFound",
    ),
    "no Host": (get("/result/x").replace(b"Host: api\r\n", b""), 404, "JobNotFound"),
    "a whole URL as the target": (get("http://api/status/x"), 404, "JobNotFound"),
    "a target that is not a path": (get("status/x"), 400, "BadRequest"),
    "an asterisk as the target": (get("*", method="OPTIONS"), 404, "NotFound"),
    "a request for a tunnel": (get("api:443", method="CONNECT"), 400, "BadRequest"),
    "an upgrade to another protocol": (
        get("/status/x", b"Connection: Upgrade", b"Upgrade: h2c"),
        404,
        "JobNotFound",
    ),
    "an upgrade to a web socket": (
        get("/status/x", b"Connection: Upgrade", b"Upgrade: websocket"),
        404,
        "JobNotFound",
    ),
    "TLS": (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(200), 400, "BadRequest"),
    "HTTP/2": (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 400, "BadRequest"),
    "text that is not HTTP": (b"hello\r\n\r\n", 400, "BadRequest"),
    "an unknown HTTP version": (b"GET / HTTP/9.9\r\n\r\n", 400, "BadRequest"),
    "a header without a colon": (get("/", b"nonsense"), 400, "BadRequest"),
    "NUL in a header": (get("/", b"X-A: a\0b"), 400, "BadRequest"),
    "a Content-Length that is not a number": (
        get("/", b"Content-Length: many", method="POST"),
        400,
        "BadRequest",
    ),
    "a Content-Length that is too large": (
        get("/", b"Content-Length: " + b"9" * 99, method="POST"),
        400,
        "BadRequest",
    ),
    "two Content-Lengths": (
        get("/", b"Content-Length: 1", b"Content-Length: 2", method="POST"),
        400,
        "BadRequest",
    ),
    "a Content-Length and chunks": (
        get("/submit", b"Content-Length: 1", b"Transfer-Encoding: chunked", method="POST"),
        400,
        "BadRequest",
    ),
    "a chunk without a size": (
        get("/submit", b"Transfer-Encoding: chunked", b"Content-Type: image/png", method="POST")
        + b"zz\r\n",
        400,
        "BadRequest",
    ),
    "many headers": (get("/status/x", *(b"X-%d: 1" % n for n in range(1000))), 404, "JobNotFound"),
    "endless headers": (
        get("/", b"X-A: " + b"a" * MAX_HEAD_BYTES * 8)[:-4],
        431,
        "HeadersTooLarge",
    ),
    "an endless target": (b"GET /" + b"a" * MAX_HEAD_BYTES * 8, 431, "HeadersTooLarge"),
    "an idempotency key that is too long": (
        post(PNG, "Content-Type: image/png", "Idempotency-Key: " + "k" * 256),
        422,
        "InvalidRequest",
    ),
    "no Content-Type": (post(PNG), 415, "NotAForm"),
    "a Content-Type that is not ASCII": (post(PNG, "Content-Type: größe"), 415, "NotAForm"),
    "a boundary that is not ASCII": (
        post(PNG, "Content-Type: multipart/form-data; boundary=größe"),
        400,
        "BadRequest",
    ),
    "lone surrogates in a describer's name": (
        post(form(file("file", PNG), text("describer", SURROGATES)), f"Content-Type: {FORM_TYPE}"),
        422,
        "DescriberNotFound",
    ),
    "lone surrogates in a language": (
        post(form(file("file", PNG), text("language", SURROGATES)), f"Content-Type: {FORM_TYPE}"),
        422,
        "OptionsInvalid",
    ),
    "NUL in a describer's name": (
        post(form(file("file", PNG), text("describer", "a\0b")), f"Content-Type: {FORM_TYPE}"),
        422,
        "DescriberNotFound",
    ),
    "lone surrogates in a field's name": (
        post(form(text("\u00ff", "x"), text("x", SURROGATES)), f"Content-Type: {FORM_TYPE}"),
        400,
        "MissingImage",
    ),
}


@pytest.mark.parametrize("case", ODD)
async def test_odd_requests_get_a_problem_document(
    port: int, cluster: Cluster, bucket: FakeBucket, case: str
) -> None:
    request, status, reason = ODD[case]
    response = await ask(port, request)
    assert (response.status, response.is_problem) == (status, True), response.body
    assert response.json["reason"] == reason
    assert (cluster.jobs, bucket.objects) == ({}, {})


@pytest.mark.parametrize(
    ("options", "stored"),
    [
        (text("prompt", SURROGATES), "Ã\xad"),
        (text("prompt", "a\0b"), "a\0b"),
        (text("prompt", "\U0001f600\u202e\ufffe"), "\U0001f600"),
        (text("prompt", b"gr\xf6\xdfe"), "größe"),
    ],
)
async def test_imagejob_with_any_text_can_be_stored(
    port: int, cluster: Cluster, options: bytes, stored: str
) -> None:
    body = form(
        file("file", PNG, "\ud800.png".encode("utf-8", "surrogatepass").decode("latin-1")), options
    )
    response = await ask(port, post(body, f"Content-Type: {FORM_TYPE}"))
    assert response.status == 202
    (job,) = cluster.jobs.values()
    assert job.model_dump_json().encode()
    assert ImageJob.model_validate_json(job.model_dump_json()).spec == job.spec


@pytest.mark.parametrize(
    ("path", "words"),
    [("/nothing", "GET /docs"), ("/submit", "POST"), ("/nothing/%0a", "GET /docs")],
)
async def test_problems_for_wrong_paths_and_methods_say_what_to_do(
    port: int, path: str, words: str
) -> None:
    response = await ask(port, get(path))
    assert words in response.json["detail"]
    assert response.json["instance"] == path.replace("%0a", "%0A")


@pytest.mark.parametrize("path", ["/status/j", "/result/j"])
async def test_malformed_imagejobs_do_not_cause_internal_errors(
    port: int, jobs: Jobs, path: str
) -> None:
    jobs.cache.observe(WatchEvent("ADDED", [{"metadata": {"name": "j"}, "spec": {"image": 1}}]))
    response = await ask(port, get(path))
    assert (response.status, response.json["reason"], response.is_problem) == (
        502,
        "JobUnreadable",
        True,
    )
