"""Tests that slow uploads must make progress, hold little memory and do not block others."""

import asyncio
import gc
from collections.abc import Iterable

import pytest
from api_fakes import LIMIT, FakeBucket, picture
from api_server import Connection, RawResponse, ask, post, until
from form_bytes import FORM_TYPE, file, form
from starlette.requests import Request
from starlette.types import Message
from vision_node_api.services.jobs import Jobs
from vision_node_api.uploads.form import Upload, read_upload
from vision_node_api.uploads.minimum_rate import GRACE_SECONDS, MinimumRate, longest_upload_seconds
from vision_node_api.uploads.upload_body import largest_upload_bytes
from vision_node_api.uploads.upload_limit import UploadLimiter, UploadLimits
from vision_node_api.web.problems import Problem

PNG = picture()
RATE = 4096
MEBIBYTE = 1 << 20
IMAGE_BYTES = 20 * MEBIBYTE
LARGEST = largest_upload_bytes(LIMIT)


class SlowClient:
    """A fake client that sends an upload slowly, according to a fake clock."""

    def __init__(self, arrivals: Iterable[tuple[float, bytes]], length: int | None = None) -> None:
        self.now = 1000.0
        self._length = b"" if length is None else str(length).encode()
        self._arrivals = list(arrivals)

    async def receive(self) -> Message:
        seconds, data = self._arrivals.pop(0)
        self.now += seconds
        return {"type": "http.request", "body": data, "more_body": bool(self._arrivals)}

    def clock(self) -> float:
        return self.now

    async def upload(self, limiter: UploadLimiter | None = None) -> Upload:
        scope = {
            "type": "http",
            "path": "/submit",
            "query_string": b"",
            "headers": [(b"content-type", b"image/png"), (b"content-length", self._length)],
        }
        limits = UploadLimits(40 * MEBIBYTE, largest_upload_bytes(IMAGE_BYTES), RATE)
        with (limiter or UploadLimiter(limits)).admit() as slot:
            return await read_upload(Request(scope, self.receive), slot, IMAGE_BYTES, self.clock)


def steady(size: int, bytes_per_second: float, pieces: int = 500) -> list[tuple[float, bytes]]:
    """Split a PNG of `size` bytes into pieces that arrive at a steady rate.

    Return each piece with the number of seconds that pass before it arrives.
    """
    data = PNG + bytes(size - len(PNG))
    step = -(-size // pieces)
    return [
        (len(piece) / bytes_per_second, piece)
        for piece in (data[at : at + step] for at in range(0, size, step))
    ]


FIRST, LAST = PNG[:50], PNG[50:]

UPLOADS: dict[str, tuple[list[tuple[float, bytes]], bool]] = {
    "15 MB at 200 kB/s": (steady(15_000_000, 200_000), True),
    "20 MiB at 200 kB/s": (steady(20 * MEBIBYTE, 200_000), True),
    "20 MiB slightly above the minimum rate": (steady(20 * MEBIBYTE, RATE * 1.01, 20_000), True),
    "1 MB below the minimum rate": (steady(1_000_000, RATE * 0.8, 2000), False),
    "200 kB below the minimum rate, within the grace period": (steady(200_000, RATE * 0.9), True),
    "one byte per second": ([(1.0, bytes([byte])) for byte in PNG], False),
    "first bytes after 29 s": ([(29.0, FIRST), (0.0, LAST)], True),
    "first bytes after 31 s": ([(31.0, FIRST), (0.0, LAST)], False),
    "a pause of 29 s": (
        [(1.0, PNG + bytes(100_000)), (29.0, b"x"), (1.0, b"x" * RATE * 29), (29.0, b"x")],
        True,
    ),
    "a pause of 31 s": ([(1.0, PNG + bytes(100_000)), (31.0, b"x")], False),
    "pauses that add up": ([(0.0, FIRST), (20.0, LAST), (20.0, b"x")], False),
    "a long pause after a fast start": (
        [(0.1, PNG + bytes(10_000_000)), (31.0, b"x")],
        False,
    ),
    "a long pause before the end": ([(0.0, PNG), (31.0, b"")], False),
}


@pytest.mark.parametrize("case", UPLOADS)
async def test_upload_is_accepted_only_if_it_makes_progress(case: str) -> None:
    arrivals, accepted = UPLOADS[case]
    client = SlowClient(arrivals)
    if accepted:
        assert (await client.upload()).data == b"".join(data for _, data in arrivals)
        return

    with pytest.raises(Problem) as refused:
        await client.upload()

    assert (refused.value.status, refused.value.reason) == (408, "UploadTooSlow")
    assert "4096 bytes per second" in refused.value.detail


async def test_upload_of_one_byte_per_second_is_stopped_after_the_grace_period() -> None:
    client = SlowClient([(1.0, b"x")] * 1000)
    with pytest.raises(Problem):
        await client.upload()
    assert GRACE_SECONDS - 1 <= client.now - 1000 <= GRACE_SECONDS + 1


@pytest.mark.parametrize("size", [1, 10_000, 1_000_000])
def test_duration_of_an_upload_is_limited_by_its_size(size: int) -> None:
    rate = MinimumRate(RATE)
    seconds = 0.0
    for _ in range(size // 1000):
        waited = rate.seconds_left * 0.999
        rate.record(1000, waited)
        seconds += waited
    assert seconds <= longest_upload_seconds(size, RATE)


@pytest.mark.parametrize(
    ("bytes_per_second", "min_megabytes", "max_megabytes"),
    [(200_000, 4.0, 4.4), (1_000_000, 5.6, 5.9), (10_000_000, 15.0, 15.0)],
)
async def test_memory_is_reserved_according_to_the_upload_rate(
    bytes_per_second: float, min_megabytes: float, max_megabytes: float
) -> None:
    """A slow upload reserves little more than it has sent. A fast one reserves all it needs."""
    arrivals = steady(15_000_000, bytes_per_second)
    limits = UploadLimits(40 * MEBIBYTE, largest_upload_bytes(IMAGE_BYTES), RATE)
    limiter = UploadLimiter(limits)
    held: list[int] = []

    class RecordingClient(SlowClient):
        async def receive(self) -> Message:
            held.append(limiter.held_bytes)
            return await super().receive()

    await RecordingClient(arrivals, 15_000_000).upload(limiter)
    held_at_a_quarter = held[len(held) // 4]
    assert min_megabytes <= held_at_a_quarter / 1_000_000 <= max_megabytes
    assert limiter.held_bytes == 0


def limit_uploads(
    jobs: Jobs,
    *,
    memory: int = LARGEST * 4,
    max_uploads: int = 100,
    grace: float = 60,
    stall: float = 60,
) -> UploadLimiter:
    """Replace the limits for uploads, and return the new limiter."""
    limits = UploadLimits(
        memory, LARGEST, RATE, grace, max_uploads, wait_seconds=60, stall_seconds=stall
    )
    limiter = UploadLimiter(limits)
    object.__setattr__(jobs, "uploads", limiter)
    return limiter


START = file("file", b"").removesuffix(b"\r\n")


def head(length: int | None) -> bytes:
    """Return the headers of a request to /submit.

    If `length` is None, the headers declare a chunked body.
    """
    framing = "Transfer-Encoding: chunked" if length is None else f"Content-Length: {length}"
    lines = ["POST /submit HTTP/1.1", "Host: api", framing, f"Content-Type: {FORM_TYPE}", "", ""]
    return "\r\n".join(lines).encode()


async def stalled(
    port: int, image: bytes, group: asyncio.TaskGroup, interval: float | None = None
) -> asyncio.Task[RawResponse]:
    """Begin an upload that stalls 1 KiB before its end.

    If `interval` is set, the upload then sends one byte every `interval` seconds.
    """

    async def upload() -> RawResponse:
        async with Connection.open(port) as connection:
            await connection.send(head(len(START + image) + 1024) + START + image)
            response = asyncio.create_task(connection.response())
            while interval and not (await asyncio.wait({response}, timeout=interval))[0]:
                await connection.send(b"x")
            return await response

    return group.create_task(upload())


async def test_normal_upload_is_accepted_while_twelve_clients_send_one_byte_per_second(
    port: int, jobs: Jobs
) -> None:
    limiter = jobs.uploads
    async with asyncio.TaskGroup() as group:
        slow = [await stalled(port, PNG[:1], group, interval=1.0) for _ in range(12)]
        await until(lambda: limiter.uploads == 12 and limiter.held_bytes >= 12)

        response = await ask(port, post(form(file("file", PNG)), f"Content-Type: {FORM_TYPE}"))
        assert response.status == 202
        assert limiter.uploads == 12
        assert limiter.held_bytes < 12 * 1024, (
            "memory is reserved only for bytes that have arrived or may arrive within two seconds"
        )
        for task in slow:
            task.cancel()

    await until(lambda: limiter.uploads == 0)
    assert limiter.held_bytes == 0


async def test_slow_upload_is_refused_and_its_connection_stays_usable(
    port: int, jobs: Jobs
) -> None:
    limiter = limit_uploads(jobs, grace=0.05)
    async with Connection.open(port) as connection:
        await connection.send(head(len(START) + 9) + START)
        response = await connection.response()
        assert (response.status, response.json["reason"], response.is_problem) == (
            408,
            "UploadTooSlow",
            True,
        )
        assert limiter.uploads == 0
        await connection.send(
            b"x" * 9 + post(form(file("file", PNG)), f"Content-Type: {FORM_TYPE}")
        )
        assert (await connection.response()).status == 202


async def test_stalled_uploads_are_refused_while_memory_is_short(
    port: int, jobs: Jobs, bucket: FakeBucket
) -> None:
    """Four uploads fill the memory and stall. The next one waits until one of them is refused."""
    image = PNG + bytes(20_000)
    size = len(image) + 1024
    limiter = limit_uploads(jobs, memory=LARGEST + 3 * size, stall=0.1)

    async with asyncio.TaskGroup() as group:
        slow = [await stalled(port, image, group) for _ in range(3)]
        await until(lambda: limiter.held_bytes == 3 * size)
        slow.append(await stalled(port, image + bytes(20_000), group))
        await until(lambda: limiter.held_bytes == 4 * size + 20_000)

        response = await ask(port, post(form(file("file", image)), f"Content-Type: {FORM_TYPE}"))
        assert response.status == 202, response.body
        refused, others = await asyncio.wait(slow, return_when=asyncio.FIRST_COMPLETED)
        for task in others:
            task.cancel()

    for response in (task.result() for task in refused):
        assert (response.status, response.json["reason"]) == (429, "TooManyUploads")
        assert response.headers["retry-after"] == "5"

    await until(lambda: limiter.held_bytes == 0)
    assert list(bucket.objects.values()) == [image]


async def test_uploads_that_together_fill_the_memory_are_all_accepted(
    port: int, jobs: Jobs, bucket: FakeBucket
) -> None:
    limiter = limit_uploads(jobs, memory=LARGEST)
    body = form(file("file", PNG + bytes(LIMIT - len(PNG))))
    request = post(body, f"Content-Type: {FORM_TYPE}")
    responses = await asyncio.gather(*(ask(port, request) for _ in range(20)))
    assert [response.status for response in responses] == [202] * 20
    assert len(bucket.objects) == 20
    assert limiter.held_bytes == 0


async def test_uploads_above_the_limit_are_refused(port: int, jobs: Jobs) -> None:
    limiter = limit_uploads(jobs, max_uploads=2)
    request = post(form(file("file", PNG)), f"Content-Type: {FORM_TYPE}")
    async with asyncio.TaskGroup() as group:
        slow = [await stalled(port, b"", group) for _ in range(2)]
        await until(lambda: limiter.uploads == 2)
        response = await ask(port, request)
        assert (response.status, response.json["reason"], response.is_problem) == (
            429,
            "TooManyUploads",
            True,
        )
        assert response.headers["retry-after"] == "5"
        for task in slow:
            task.cancel()

    await until(lambda: limiter.uploads == 0)

    assert (await ask(port, request)).status == 202


LARGE = PNG + bytes(LIMIT - len(PNG))

ENDS: dict[str, bytes] = {
    "accepted": post(form(file("file", LARGE)), f"Content-Type: {FORM_TYPE}"),
    "too large": post(form(file("file", LARGE + b"x")), f"Content-Type: {FORM_TYPE}"),
    "far too large": post(form(file("file", LARGE * 40)), f"Content-Type: {FORM_TYPE}"),
    "not an image": post(form(file("file", b"x" * LIMIT)), f"Content-Type: {FORM_TYPE}"),
    "two images": post(form(file("a", LARGE), file("b", PNG)), f"Content-Type: {FORM_TYPE}"),
    "an unknown describer": post(LARGE, "Content-Type: image/png", path="/submit?describer=no"),
    "a client that disconnects": head(100_000) + START + LARGE,
    "a broken chunk": head(None) + b"%x\r\n%b\r\nno size\r\n" % (len(START + PNG), START + PNG),
}


@pytest.mark.parametrize("case", ENDS)
async def test_memory_is_freed_however_an_upload_ends(port: int, jobs: Jobs, case: str) -> None:
    limiter = jobs.uploads
    async with Connection.open(port) as connection:
        await connection.send(ENDS[case])
        if case == "a client that disconnects":
            await until(lambda: limiter.held_bytes >= LIMIT)
        else:
            await connection.response()

    await until(lambda: limiter.uploads == 0)

    assert limiter.held_bytes == 0


async def test_memory_is_freed_before_the_rest_of_a_refused_upload_is_read(
    port: int, jobs: Jobs
) -> None:
    limiter = jobs.uploads
    async with Connection.open(port) as connection:
        await connection.send(head(LARGEST - 10) + START + LARGE)
        await until(lambda: limiter.held_bytes >= LIMIT)
        await connection.send(b"x" * 100)
        await until(lambda: limiter.held_bytes == 0)
        assert limiter.uploads == 1, "the rest of the body is still being read"
        gc.collect()
        assert not [
            found for found in gc.get_objects() if type(found) is bytes and len(found) >= LIMIT
        ]
        await connection.send(b"x" * (LARGEST - 10 - len(START) - LIMIT - 100))
        assert (await connection.response()).status == 413


@pytest.mark.parametrize("framing", ["length", "chunks"])
async def test_large_upload_is_accepted_after_100_continue(
    port: int, bucket: FakeBucket, framing: str
) -> None:
    """For a large upload, curl waits for `100 Continue` before it sends the body."""
    body = form(file("file", LARGE))
    length = len(body) if framing == "length" else None
    request = head(length).replace(b"Host", b"Expect: 100-continue\r\nHost")

    async with Connection.open(port) as connection:
        await connection.send(request)
        assert (await connection.response()).status == 100
        await connection.send(
            body if length else b"".join(b"%x\r\n%b\r\n" % (len(it), it) for it in (body, b""))
        )
        assert (await connection.response()).status == 202

    assert list(bucket.objects.values()) == [LARGE]


@pytest.mark.parametrize(
    ("sent", "status"),
    [
        (head(LARGEST + 1), 413),
        (head(9).replace(FORM_TYPE.encode(), b"text/plain"), 415),
        (head(9).replace(b"/submit", b"/nothing"), 404),
        (head(9).replace(b"/submit", b"/limits"), 405),
    ],
)
async def test_refusal_is_sent_instead_of_100_continue(port: int, sent: bytes, status: int) -> None:
    """The connection is closed, because the next bytes could be the body or another request."""
    async with Connection.open(port) as connection:
        await connection.send(sent.replace(b"Host", b"Expect: 100-continue\r\nHost"))
        response = await connection.response()
        assert (response.status, response.is_problem) == (status, True)
        assert response.headers["connection"] == "close"
        assert await connection.ended() == b""
