"""Tests of both clients that follow jobs and batches, against a fake server on a socket."""

import itertools
import json
from typing import Any

import pytest
from fakes.vision_node_server import VisionNodeServer
from vision_node_client import ProtocolError, VisionNode
from vision_node_client.protocol.event_reader import EventReader

OPENING = "retry: 2000\nid: 100-100"


def job(version: int, status: str, name: str = "a") -> str:
    """Return the text of an event about a job."""
    data = json.dumps({"job_id": name, "status": status, "describer": "local", "error": None})
    return f"id: {version}\nevent: job\ndata: {data}"


def shown(events: Any) -> list[str]:
    return [f"{it.kind} {it.job.status if it.job else it.document}" for it in events]


def test_job_is_followed_through_lost_connections(node: Any, server: VisionNodeServer) -> None:
    server.streams = [
        ["retry: 2000", job(101, "queued"), ": keep-alive", "break"],
        ["retry: 2000", job(102, "processing")],
        ["retry: 2000", job(103, "done"), job(104, "queued")],
    ]
    events = list(node.events("a"))
    assert shown(events) == ["job queued", "job processing", "job done"]
    assert [it.id for it in events] == ["101", "102", "103"]
    assert server.last_event_ids == [None, "101", "102"]
    assert server.count("GET /jobs/a/events") == 3


def test_server_that_has_nothing_to_add_ends_the_events(
    node: Any, server: VisionNodeServer
) -> None:
    assert list(node.events("a", last_event_id="103")) == []
    assert server.last_event_ids == ["103"]


def test_deleted_batch_ends_its_events(node: Any, server: VisionNodeServer) -> None:
    data = {"batch": "x", "version": "102"}
    server.streams = [[f"id: 102\nevent: deleted\ndata: {json.dumps(data)}"]]
    (event,) = node.events(batch="x")
    assert (event.kind, event.document, event.finished) == ("deleted", data, True)


def test_all_events_are_resumed_and_a_reset_is_given(server: VisionNodeServer) -> None:
    reset = 'id: 300-300\nevent: reset\ndata: {"reason": "VersionTooOld", "message": "Read."}'
    server.streams = [
        [OPENING, job(101, "done")],
        ["event: later\ndata: 1", reset, job(301, "queued", "b")],
    ]
    with VisionNode(server.url) as node:
        events = node.events(phase="done", describer="local")
        kinds = [it.kind for it in itertools.islice(events, 3)]
    assert kinds == ["job", "reset", "job"]
    assert server.count(r"GET /events\?phase=done&describer=local") == 2
    assert server.last_event_ids == [None, "101"]


def test_stream_that_breaks_before_its_first_event_is_resumed_from_its_opening(
    server: VisionNodeServer,
) -> None:
    server.streams = [[OPENING, "break"], [job(101, "done")]]
    with VisionNode(server.url) as node:
        assert next(node.events()).id == "101"
    assert server.last_event_ids == [None, "100-100"]


def test_job_and_batch_exclude_each_other(node: Any) -> None:
    with pytest.raises(TypeError, match="not both"):
        list(node.events("a", batch="x"))


def test_event_may_arrive_in_any_pieces() -> None:
    reader = EventReader()
    text = f"{OPENING}\n\n{job(101, 'queued', 'ä')}\n\n".encode()
    events = [event for byte in text for event in reader.feed(bytes([byte]))]
    assert [(it.id, it.job.id if it.job else None) for it in events] == [("101", "ä")]
    assert reader.last_event_id == "101"


def test_incomplete_event_does_not_count() -> None:
    reader = EventReader("100")
    assert list(reader.feed(b"id: 101\nevent: job\ndata: {")) == []
    assert reader.last_event_id == "100"


def test_event_that_cannot_be_understood_is_an_error() -> None:
    with pytest.raises(ProtocolError, match="can't be understood"):
        list(EventReader().feed(b"event: job\ndata: {}\n\n"))
