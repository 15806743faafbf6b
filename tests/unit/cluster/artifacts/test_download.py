"""Tests of downloads: checksums, retries, time limits, proxies and certificates."""

import hashlib
import socket
import ssl
import subprocess
import threading
import urllib.error
from collections.abc import Iterator
from pathlib import Path

import pytest
import webserver
from webserver import Answer, WebServer

from cluster.artifacts import download
from cluster.errors import ClusterError
from cluster.run import shell

PROGRAM = b"\x7fELF and so on"
SUM = hashlib.sha256(PROGRAM).hexdigest()
GOOD = Answer(PROGRAM)


@pytest.fixture
def web(monkeypatch: pytest.MonkeyPatch) -> Iterator[WebServer]:
    for name in ("http_proxy", "https_proxy", "all_proxy", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)
    monkeypatch.setattr(download, "FIRST_PAUSE_SECONDS", 0.0)
    download.connection_problem.cache_clear()
    with webserver.running() as server:
        yield server


@pytest.fixture
def target(tmp_path: Path) -> Path:
    return tmp_path / "download"


def test_file_with_correct_checksum_is_downloaded(web: WebServer, target: Path) -> None:
    download.fetch(web.serve("/kind", GOOD), target, SUM)
    assert target.read_bytes() == PROGRAM


def test_redirect_is_followed(web: WebServer, target: Path) -> None:
    elsewhere = web.serve("/assets/kind", GOOD)
    download.fetch(
        web.serve("/kind", Answer(status=302, headers={"Location": elsewhere})), target, SUM
    )
    assert target.read_bytes() == PROGRAM


def test_wrong_checksum_error_has_url_checksums_and_advice(web: WebServer, target: Path) -> None:
    url = web.serve("/kind", Answer(b"something else"))
    with pytest.raises(ClusterError) as caught:
        download.fetch(url, target, SUM)

    message = str(caught.value)
    for part in (
        url,
        SUM,
        hashlib.sha256(b"something else").hexdigest(),
        "not used",
        "another mirror",
    ):
        assert part in message

    assert web.requests == ["/kind"], "a retry would get the same file"


@pytest.mark.parametrize(
    "failure",
    [Answer(status=503), Answer(status=429), Answer(PROGRAM[:4], announced=len(PROGRAM))],
    ids=["unavailable", "too many requests", "interrupted"],
)
def test_temporary_failure_is_retried(failure: Answer, web: WebServer, target: Path) -> None:
    download.fetch(web.serve("/kind", failure, failure, GOOD), target, SUM)
    assert target.read_bytes() == PROGRAM
    assert len(web.requests) == 3


def test_download_fails_after_last_attempt(web: WebServer, target: Path) -> None:
    with pytest.raises(ClusterError, match=r"in 4 attempts: the server answers 503"):
        download.fetch(web.serve("/kind", Answer(status=503)), target, SUM)
    assert len(web.requests) == download.ATTEMPTS


def test_permanent_failure_is_not_retried(web: WebServer, target: Path) -> None:
    with pytest.raises(ClusterError, match="the server answers 404"):
        download.fetch(f"{web.url}/none", target, SUM)
    assert len(web.requests) == 1


def test_pauses_grow_and_have_jitter() -> None:
    first, third = ([download._pause(attempt) for _ in range(50)] for attempt in (0, 2))
    assert 0.5 <= min(first) <= max(first) <= 1.0
    assert 2.0 <= min(third) <= max(third) <= 4.0
    assert len(set(first)) > 1


@pytest.mark.parametrize("announced", [None, -1], ids=["announced", "not announced"])
def test_oversized_file_is_refused(
    announced: int | None, web: WebServer, target: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(download, "MAX_BYTES", 1000)
    url = web.serve("/kind", Answer(b"x" * 300_000, announced=announced))
    with pytest.raises(ClusterError, match="larger than"):
        download.fetch(url, target, SUM)
    assert target.stat().st_size <= 1000


def test_slow_download_times_out(
    web: WebServer, target: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(download, "DOWNLOAD_SECONDS", -1.0)
    with pytest.raises(ClusterError, match="too slow"):
        download.fetch(web.serve("/kind", GOOD), target, SUM)


def test_silent_server_times_out(target: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(download, "IDLE_SECONDS", 0.05)
    monkeypatch.setattr(download, "FIRST_PAUSE_SECONDS", 0.0)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"http://127.0.0.1:{silent.getsockname()[1]}/kind"
        with pytest.raises(ClusterError, match="timed out"):
            download.fetch(url, target, SUM)


def test_failed_step_stops_download(web: WebServer, target: Path) -> None:
    shell.stop_all()
    try:
        with pytest.raises(ClusterError, match="another step has failed"):
            download.fetch(web.serve("/kind", GOOD), target, SUM)
    finally:
        shell.resume()


def test_proxy_from_environment_is_used(
    web: WebServer, target: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # A request to a proxy contains the whole URL.
    web.serve("http://site.invalid/kind", GOOD)
    monkeypatch.setenv("http_proxy", web.url)
    download.fetch("http://site.invalid/kind", target, SUM)
    assert web.requests == ["http://site.invalid/kind"]


def test_certificate_error_is_not_retried_and_has_advice(
    target: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    requests: list[str] = []

    def reject_certificate(url: str, _timeout_seconds: float) -> object:
        requests.append(url)
        raise urllib.error.URLError(ssl.SSLCertVerificationError("self-signed certificate"))

    monkeypatch.setattr(download, "_open", reject_certificate)
    with pytest.raises(ClusterError, match=r"self-signed certificate.*SSL_CERT_FILE"):
        download.fetch("https://site.invalid/kind", target, SUM)

    assert len(requests) == 1


def test_system_certificates_are_used_if_python_has_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    key, bundle = tmp_path / "key.pem", tmp_path / "cert.pem"
    subject = ("-subj", "/CN=an authority", "-addext", "basicConstraints=critical,CA:TRUE")
    new = (
        "openssl",
        "req",
        "-x509",
        "-newkey",
        "ec",
        "-pkeyopt",
        "ec_paramgen_curve:P-256",
        "-nodes",
    )
    subprocess.run(
        [*new, *subject, "-keyout", key, "-out", bundle], check=True, capture_output=True
    )
    nothing = ssl.DefaultVerifyPaths(None, None, "", "", "", "")
    monkeypatch.setattr(ssl, "get_default_verify_paths", lambda: nothing)
    monkeypatch.setattr(download, "SYSTEM_CA_BUNDLE", bundle)
    subjects = [
        dict(pair for (pair,) in found["subject"])
        for found in download._ssl_context().get_ca_certs()
    ]
    assert {"commonName": "an authority"} in subjects


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        (GOOD, ""),
        (Answer(status=403), "the server answers 403"),
        # A content filter or the login page of a hotel's network answers like this.
        (
            Answer(b"<html>", headers={"Content-Type": "text/html; charset=utf-8"}),
            "it answered with a web",
        ),
    ],
)
def test_site_is_checked_with_one_request(answer: Answer, expected: str, web: WebServer) -> None:
    url = web.serve("/kind", answer)
    assert download.connection_problem(url).startswith(expected)
    assert bool(download.connection_problem(url)) == bool(expected)
    assert web.requests == ["/kind"], "each site is checked only once per run"


def test_refused_connection_is_reported() -> None:
    download.connection_problem.cache_clear()
    with socket.create_server(("127.0.0.1", 0)) as closed:
        port = closed.getsockname()[1]
    assert "refused" in download.connection_problem(f"http://127.0.0.1:{port}/kind")


def _fail_late(released: threading.Event) -> object:
    released.wait()
    raise OSError("too late")


def test_site_check_times_out_during_dns_lookup(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    download.connection_problem.cache_clear()
    answered = threading.Event()
    monkeypatch.setattr(download, "ANSWER_SECONDS", 0.05)
    # A DNS lookup with an unreachable name server also hangs. Its own time limit is at least 30 s.
    monkeypatch.setattr(download, "_open", lambda *_: _fail_late(answered))

    try:
        assert download.connection_problem("https://site.invalid/kind").startswith(
            "no answer within"
        )
    finally:
        answered.set()
