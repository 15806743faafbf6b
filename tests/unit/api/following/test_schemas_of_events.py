"""Tests that the data of events has exactly the fields of the schemas in the OpenAPI document."""

from typing import Any

from conformance.strict_answers import Answers
from event_reader import Event, Feed, last, stream
from fastapi import FastAPI

SINCE = last("100-100")


def schema_of(document: dict[str, Any], event: str) -> str:
    """Return the name of the schema of the data of an event."""
    for variant in document["components"]["schemas"]["Event"]["oneOf"]:
        properties = variant["properties"]
        if properties["event"]["const"] == event:
            reference: str = properties["data"]["contentSchema"]["$ref"]
            return reference.rpartition("/")[2]
    raise AssertionError(event)


async def read(port: int, *headers: bytes, count: int) -> list[Event]:
    """Return the next events of all jobs and batches."""
    async with stream(port, "/events", *headers) as events:
        found = [await events.event() for _ in range(count)]
    return [it for it in found if it]


async def test_data_of_events_matches_their_schemas(port: int, app: FastAPI, feed: Feed) -> None:
    feed.job("job-1", 101)
    feed.batch("holiday", 102)
    feed.delete_job("job-1", 103)
    feed.delete_batch("holiday", 104)
    feed.job("job-2", 105, "done")
    feed.batch("other", 106, "done")
    found = [*await read(port, SINCE, count=4), *await read(port, last(1), count=1)]

    document = app.openapi()
    answers = Answers(document)
    assert {it.name for it in found} == {"job", "batch", "deleted", "reset"}
    for event in found:
        name = schema_of(document, event.name)
        assert list(answers.errors_by_name(event.data, name)) == [], event
