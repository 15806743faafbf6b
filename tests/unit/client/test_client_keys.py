"""Tests of API keys: how both clients and the command send them, and that nothing shows them."""

import io
import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from client_helpers import JPEG, QUICK, vision_node
from fakes.vision_node.access import FIRST_KEY
from fakes.vision_node_server import VisionNodeServer, serving_vision_node
from vision_node_client import AsyncVisionNode, ProblemError, UnreachableError, VisionNode
from vision_node_client.cli.exit_codes import ExitCode
from vision_node_client.cli.key_file import key_source

VARIABLE = "VISION_NODE_API_KEY"


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[VisionNodeServer]:
    """A server that needs keys. The environment has the administrator's."""
    monkeypatch.setenv(VARIABLE, FIRST_KEY)
    with serving_vision_node() as fake:
        fake.access.needs_key = True
        monkeypatch.setenv("VISION_NODE_URL", fake.url)
        yield fake


@pytest.fixture
def other_server() -> Iterator[VisionNodeServer]:
    """Another server, which needs no keys."""
    with serving_vision_node() as fake:
        yield fake


def test_key_in_the_environment_is_sent_with_every_request(
    server: VisionNodeServer, node: Any
) -> None:
    assert str(node.describe(JPEG)).endswith("A cat.")
    batch = node.create_batch(files={"a.jpg": JPEG})
    assert len(list(node.results(batch.name, follow=True))) == 1
    assert {*server.access.sent} == {f"Bearer {FIRST_KEY}"}


def test_given_key_takes_precedence(
    server: VisionNodeServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(VARIABLE, "vn_of_another_server")
    with VisionNode(server.url, api_key=f" {FIRST_KEY}\n") as node:
        assert node.whoami().subject == "admin"
    server.access.needs_key = False
    with VisionNode(server.url, api_key="") as node:
        assert node.whoami().subject == "anonymous"
    assert server.access.sent == [f"Bearer {FIRST_KEY}", None]


async def test_function_returns_the_current_key(server: VisionNodeServer) -> None:
    server.access.add("second", "2", "web", ["read"])
    keys = iter([FIRST_KEY, "second", FIRST_KEY, "second"])
    with VisionNode(server.url, api_key=lambda: next(keys)) as node:
        assert [node.whoami().subject for _ in range(2)] == ["admin", "web"]
    async with AsyncVisionNode(server.url, api_key=lambda: next(keys)) as async_node:
        assert [(await async_node.whoami()).subject for _ in range(2)] == ["admin", "web"]


@pytest.mark.parametrize("key", ["two words", "vn_secret\nX-Header: 1", "vn_sécret", "x" * 20_000])
def test_impossible_key_is_refused_without_showing_it(server: VisionNodeServer, key: str) -> None:
    with pytest.raises(ValueError, match="the API key is empty, too long, or") as caught:
        VisionNode(server.url, api_key=key)
    assert key not in str(caught.value)

    with VisionNode(server.url, api_key=lambda: key) as node:
        with pytest.raises(ValueError, match="the API key is empty") as returned:
            node.whoami()
        assert key not in str(returned.value)


def test_key_and_password_exclude_each_other() -> None:
    """Both would be sent in the same header, and httpx would leave out the password."""
    with pytest.raises(ValueError, match="can't be sent together") as caught:
        VisionNode("http://me:hidden@127.0.0.1:9", api_key=FIRST_KEY)
    assert "hidden" not in str(caught.value)
    assert FIRST_KEY not in str(caught.value)


def test_redirect_does_not_carry_the_key_to_another_server(
    server: VisionNodeServer, other_server: VisionNodeServer, node: Any
) -> None:
    for pattern, send in (
        ("GET /whoami", node.whoami),
        ("POST /submit", lambda: node.submit(JPEG)),
        ("GET /jobs/export", lambda: list(node.export())),
    ):
        server.fail(pattern, 307, reason=None, Location=f"{other_server.url}/whoami")
        with pytest.raises(ProblemError) as caught:
            send()
        assert caught.value.status == 307
    assert other_server.access.sent == []


def test_key_is_in_no_log_error_or_repr(
    server: VisionNodeServer,
    other_server: VisionNodeServer,
    node: Any,
    caplog: pytest.LogCaptureFixture,
) -> None:
    logging.getLogger("httpcore").setLevel("DEBUG")
    caplog.set_level("DEBUG")
    errors = []
    created = node.create_key("web")
    for status in (401, 403, 429, 500):
        server.fail("GET /limits", status, count=3)
        with pytest.raises(ProblemError) as caught:
            node.limits()
        errors.append(repr(caught.value))
    with (
        VisionNode("http://127.0.0.1:9", api_key=FIRST_KEY, retries=QUICK) as away,
        pytest.raises(UnreachableError) as unreachable,
    ):
        away.limits()

    shown = [*errors, repr(unreachable.value), repr(away), repr(away.__dict__), repr(created)]
    for key in (FIRST_KEY, created.key):
        assert key not in caplog.text
        assert not [text for text in shown if key in text]


@pytest.mark.parametrize(
    ("key", "words"),
    [("", "This client has no key: set VISION_NODE_API_KEY"), ("vn_old", "wrong, expired or")],
)
def test_refusal_says_what_to_do_about_the_key(
    server: VisionNodeServer, key: str, words: str, capfd: pytest.CaptureFixture[str]
) -> None:
    with VisionNode(server.url, api_key=key) as node, pytest.raises(ProblemError) as caught:
        node.describe(JPEG)
    assert (caught.value.status, caught.value.reason) == (401, "Unauthenticated")
    assert words in caught.value.detail
    assert len(server.requests) == 1, "another attempt would be refused, too"


def test_missing_scope_is_not_retried(server: VisionNodeServer, node: Any) -> None:
    server.fail("GET /keys", 403, reason="Forbidden")
    with pytest.raises(ProblemError, match="Forbidden: Forbidden is the reason"):
        node.keys()
    assert len(server.requests) == 1


def test_rate_limit_is_obeyed_as_far_as_it_is_short(server: VisionNodeServer, node: Any) -> None:
    server.fail("GET /limits", 429, reason="RateLimited", Retry_After="0")
    assert node.limits() == {"imageBytes": 1000}

    server.requests.clear()
    server.fail("GET /limits", 429, reason="RateLimited", Retry_After="86400")
    with pytest.raises(ProblemError) as caught:
        node.limits()
    assert (caught.value.reason, caught.value.retry_after) == ("RateLimited", 86400)
    assert len(server.requests) == 1


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """The command does not wait between attempts."""
    for name in ("sync_client", "async_client"):
        monkeypatch.setattr(f"vision_node_client.{name}.Retries", lambda: QUICK)


@pytest.mark.usefixtures("quick")
def test_command_reads_the_key_from_a_file_or_stdin(
    server: VisionNodeServer, tmp_path: Path, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv(VARIABLE)
    file, results = tmp_path / "key", tmp_path / "results.jsonl"
    file.write_text(f"{FIRST_KEY}\n")
    given = ("--api-key-file", file)
    assert vision_node("describe", folder / "0.jpg", *given) == ExitCode.DONE
    assert vision_node("describe", folder, "--out", results, *given) == ExitCode.DONE
    assert vision_node("whoami", *given) == ExitCode.DONE

    monkeypatch.setattr("sys.stdin", io.StringIO(FIRST_KEY))
    assert vision_node("whoami", "--api-key-file", "-") == ExitCode.DONE
    assert {*server.access.sent} == {f"Bearer {FIRST_KEY}"}
    assert not [it for it in tmp_path.rglob("*.jsonl*") if FIRST_KEY in it.read_text()]


def test_replaced_token_in_the_file_is_used(server: VisionNodeServer, tmp_path: Path) -> None:
    """A token that Kubernetes mounts is replaced before it expires."""
    file = tmp_path / "token"
    file.write_text("expired")
    source = key_source(str(file))
    file.write_text(FIRST_KEY)
    with VisionNode(server.url, api_key=source) as node:
        assert node.whoami().subject == "admin"


@pytest.mark.parametrize("content", [None, b"", b"two words", b"\xff\xfe"])
def test_unusable_key_file_is_an_error(
    server: VisionNodeServer,
    tmp_path: Path,
    content: bytes | None,
    capfd: pytest.CaptureFixture[str],
) -> None:
    file = tmp_path / "key"
    if content is not None:
        file.write_bytes(content)
    assert vision_node("whoami", "--api-key-file", file) == ExitCode.USAGE
    assert capfd.readouterr().err.startswith("error: ")
    assert server.requests == []


def test_created_key_is_all_that_is_on_stdout(
    server: VisionNodeServer, capfd: pytest.CaptureFixture[str]
) -> None:
    arguments = ("--name", "web", "--owner", "team", "--scopes", "submit,read", "--expires", "30d")
    assert vision_node("keys", "create", *arguments) == ExitCode.DONE
    printed = capfd.readouterr()
    assert printed.out == "vn_1_secret\n"
    assert "created the key 1 (web) of the owner team" in printed.err
    assert "vn_1_secret" not in printed.err
    assert server.access.bodies == [
        {"name": "web", "owner": "team", "scopes": ["submit", "read"], "expires": "30d"}
    ]


def test_lost_answer_creates_no_second_key(server: VisionNodeServer, node: Any) -> None:
    server.fail("POST /keys", 503, count=9)
    with pytest.raises(ProblemError):
        node.create_key("web")
    assert server.count("POST /keys") == 1


def test_command_says_that_a_key_may_have_been_created(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    arguments = ("--name", "web", "--server", "http://127.0.0.1:9")
    assert vision_node("keys", "create", *arguments) == ExitCode.UNREACHABLE
    assert "the key may have been created" in capfd.readouterr().err


def test_keys_are_listed_and_revoked(
    server: VisionNodeServer, node: Any, capfd: pytest.CaptureFixture[str]
) -> None:
    created = node.create_key("web", scopes=["read"])
    found = node.keys()
    assert [(it.name, it.scopes) for it in found] == [
        ("admin", ("admin",)),
        ("web", ("read",)),
    ]
    assert vision_node("keys", "list") == ExitCode.DONE
    printed = capfd.readouterr().out
    assert printed.splitlines()[0].split() == ["ID", "NAME", "OWNER", "SCOPES", "EXPIRES"]
    assert created.key not in printed

    server.fail("DELETE /keys", 503)
    node.revoke_key(created.id)
    (rest,) = node.keys()
    assert rest.id == "first"
    assert vision_node("keys", "revoke", created.id) == ExitCode.REFUSED
    assert "KeyNotFound" in capfd.readouterr().err


def test_key_that_was_revoked_by_a_lost_request_is_revoked(
    server: VisionNodeServer, node: Any
) -> None:
    server.fail("DELETE /keys/gone", 503)
    node.revoke_key("gone")
    with pytest.raises(ProblemError, match="KeyNotFound"):
        node.revoke_key("gone")
    with pytest.raises(ValueError, match="is not the id"):
        node.revoke_key("..")


def test_usage_is_printed(
    server: VisionNodeServer, node: Any, capfd: pytest.CaptureFixture[str]
) -> None:
    used = node.usage(owner="team", after="2026-11-01")
    assert (used.owner, used.days[0].images, used.today) == ("team", 3, {"used": {"bytes": 900}})
    assert used.next_before == "2026-11-27"

    arguments = ("--after", "2026-11-01", "--before", "2026-12-01", "--owner", "team")
    assert vision_node("usage", *arguments) == ExitCode.DONE
    _, *rows = capfd.readouterr().out.splitlines()
    row = ["2026-11-27", "local", "3", "1", "900", "0", "0"]
    assert [it.split() for it in rows] == [row, row], "from both pages"
    assert server.access.queries == [
        {"owner": "team", "after": "2026-11-01"},
        {"owner": "team", "after": "2026-11-01", "before": "2026-12-01"},
        {"owner": "team", "after": "2026-11-01", "before": "2026-11-27"},
    ]


def test_identity_is_printed(server: VisionNodeServer, capfd: pytest.CaptureFixture[str]) -> None:
    assert vision_node("whoami") == ExitCode.DONE
    assert capfd.readouterr().out.splitlines()[1].split() == ["admin", "admin", "admin", "never"]


def test_callback_url_is_an_option_of_jobs_and_batches(
    server: VisionNodeServer, node: Any, folder: Path
) -> None:
    url = "https://example.com/hook"
    job = node.submit(JPEG, callback_url=url)
    assert server.options[job.id] == {"callbackURL": url}
    node.create_batch(prefix="inbox/", callback_url=url)
    assert server.only_batch.spec["callbackURL"] == url
    assert vision_node("describe", folder / "0.jpg", "--callback-url", url) == ExitCode.DONE
    assert server.options["job-1"] == {"callbackURL": url}
