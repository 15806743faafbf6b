"""Download files and verify their checksums."""

import contextlib
import hashlib
import http.client
import random
import ssl
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import BinaryIO

from cluster.errors import ClusterError
from cluster.run import shell

# Time limit for checking whether a site answers. It is long enough for a satellite link.
ANSWER_SECONDS = 5.0
# How long to wait for the next byte before the connection is considered dead.
IDLE_SECONDS = 30.0
# Time limit for a download. A 60 MB tool takes this long at half a megabit per second.
DOWNLOAD_SECONDS = 1000.0

# Maximum size of a download. The largest is the package with the models, at 145 MB.
MAX_BYTES = 200_000_000
CHUNK_BYTES = 1 << 16

ATTEMPTS = 4
# Maximum pause after the first attempt. It doubles with each attempt, because an overloaded server
# needs time.
FIRST_PAUSE_SECONDS = 1.0

# Statuses after which a retry may succeed: RFC 9110 (408, 5xx), RFC 8470 (425), RFC 6585 (429).
RETRYABLE_STATUSES = frozenset({408, 425, 429, 500, 502, 503, 504})

# Some servers refuse the default User-Agent of Python's client.
HEADERS = {"User-Agent": "vision-node"}

# macOS's own certificate authorities. Python from python.org has none until the user runs a script.
SYSTEM_CA_BUNDLE = Path("/etc/ssl/cert.pem")


class _RetryableError(Exception):
    """A failed download that may succeed when retried."""


def fetch(url: str, target: Path, sha256: str) -> None:
    """Download the file at `url` to `target` and verify its SHA-256.

    Raises ClusterError if the file can't be downloaded after several attempts, or if its checksum
    does not match. In both cases, `target` must not be used.
    """
    for attempt in range(ATTEMPTS):
        try:
            found = _load(url, target)
        except _RetryableError as error:
            if attempt == ATTEMPTS - 1:
                raise ClusterError(
                    f"{url} could not be downloaded in {ATTEMPTS} attempts: {error}"
                ) from None

            shell.pause(_pause(attempt))
        else:
            break

    if found != sha256:
        raise ClusterError(_checksum_message(url, sha256, found))


def _pause(attempt: int) -> float:
    """Return the seconds to wait after an attempt, with jitter to spread out retries."""
    longest = FIRST_PAUSE_SECONDS * 2.0**attempt
    return random.uniform(longest / 2, longest)  # noqa: S311  # no secret


def _checksum_message(url: str, expected: str, found: str) -> str:
    return (
        f"{url} has the wrong checksum; it is not used.\n"
        f"  SHA-256 expected: {expected}\n"
        f"  SHA-256 found:    {found}\n"
        "A proxy or a mirror may have sent something else. Open the address in a browser to see "
        "what it is, and try again from another network or with another mirror. If the problem "
        "persists, the file was changed at its source: do not use it, and report it."
    )


def _load(url: str, target: Path) -> str:
    """Write the file and return its SHA-256.

    Raises _RetryableError if a retry may succeed, and ClusterError if not.
    """
    try:
        with _open(url, IDLE_SECONDS) as answer, target.open("wb") as file:
            return _copy(url, answer, file)
    except urllib.error.HTTPError as error:
        if error.code in RETRYABLE_STATUSES:
            raise _RetryableError(_reason(error)) from None
        raise ClusterError(f"{url} could not be downloaded: {_reason(error)}") from None
    except (OSError, http.client.HTTPException) as error:
        if _is_certificate_error(error):
            raise ClusterError(f"{url} could not be downloaded: {_reason(error)}") from None
        raise _RetryableError(_reason(error)) from None


def _copy(url: str, answer: http.client.HTTPResponse, file: BinaryIO) -> str:
    digest, received = hashlib.sha256(), 0
    deadline = time.monotonic() + DOWNLOAD_SECONDS
    while chunk := answer.read1(CHUNK_BYTES):
        received += len(chunk)
        if received > MAX_BYTES:
            raise ClusterError(
                f"{url} is larger than {MAX_BYTES // 1_000_000} MB, so it is not the expected file"
            )
        if time.monotonic() > deadline:
            raise ClusterError(
                f"{url} was not downloaded within {DOWNLOAD_SECONDS:.0f} s: "
                "the connection is too slow"
            )

        shell.pause(0)
        digest.update(chunk)
        file.write(chunk)

    announced = answer.headers.get("Content-Length", "")
    if announced.isdecimal() and received < int(announced):
        raise _RetryableError(f"the connection ended after {received} of {announced} bytes")

    return digest.hexdigest()


@cache
def connection_problem(url: str) -> str:
    """Return the reason why a download from `url` would fail now; "" if it would succeed.

    A check takes at most ANSWER_SECONDS, and a run checks each URL only once.
    """
    found: list[str] = []

    def ask() -> None:
        try:
            with _open(url, ANSWER_SECONDS) as answer:
                # A web page comes from a content filter or a login portal, not from the server.
                page = answer.headers.get_content_type() == "text/html"
                found.append("it answered with a web page instead of a file" if page else "")
        except (OSError, http.client.HTTPException) as error:
            found.append(_reason(error))

    # The thread is a daemon, because a DNS lookup can take half a minute and can't be interrupted.
    thread = threading.Thread(target=ask, daemon=True)
    thread.start()
    thread.join(ANSWER_SECONDS)

    return found[0] if found else f"no answer within {ANSWER_SECONDS:.0f} s"


@contextlib.contextmanager
def _open(url: str, timeout_seconds: float) -> Iterator[http.client.HTTPResponse]:
    """Open `url`, through a proxy if the environment sets one."""
    request = urllib.request.Request(url, headers=HEADERS)  # noqa: S310  # only http and https
    opener = urllib.request.build_opener(urllib.request.HTTPSHandler(context=_ssl_context()))
    try:
        with opener.open(request, timeout=timeout_seconds) as answer:
            yield answer
    except urllib.error.HTTPError as error:
        # The error is also the response, and keeps its connection open.
        error.close()
        raise


def _ssl_context() -> ssl.SSLContext:
    """Return an SSL context with Python's certificate authorities, or else the system's."""
    context = ssl.create_default_context()
    if not ssl.get_default_verify_paths().cafile and SYSTEM_CA_BUNDLE.exists():
        context.load_verify_locations(SYSTEM_CA_BUNDLE)
    return context


def _is_certificate_error(error: BaseException) -> bool:
    return isinstance(getattr(error, "reason", error), ssl.SSLCertVerificationError)


def _reason(error: BaseException) -> str:
    """Describe why a request failed."""
    if isinstance(error, urllib.error.HTTPError):
        return f"the server answers {error.code} {error.reason}"
    cause = getattr(error, "reason", error)
    if _is_certificate_error(error):
        return f"{cause}. Set SSL_CERT_FILE to your bundle of certificate authorities"
    return str(cause) or type(cause).__name__
