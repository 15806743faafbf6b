"""Tests of the lists of ImageBatches and their shards, with a fake API server."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest
from vision_node_contract.clients.kube import KubeError, NotFoundError, Selectors, UnavailableError
from vision_node_contract.names import BATCH_LABEL, BATCH_PLURAL, PLURAL
from vision_node_operator.runtime.freshness import Heartbeat
from vision_node_operator.runtime.object_lists import UNFINISHED, ObjectLists
from vision_node_operator.state.state import State

EVERYTHING = Selectors()


def shard(first: int, phase: str) -> dict[str, Any]:
    images = {"batch": "b", "batchUID": "b-uid", "manifest": "batches/m1/"}
    return {
        "metadata": {"name": f"b-b-uid-{first}", "uid": f"s{first}", "resourceVersion": "5"},
        "spec": {"images": {**images, "first": first, "count": 10}},
        "status": {"phase": phase},
    }


BATCH = {
    "metadata": {"name": "b", "uid": "b-uid", "resourceVersion": "4"},
    "spec": {"prefix": "inbox/"},
    "status": {"phase": "processing"},
}


class FakeServer:
    """A fake API server with ImageBatches and shards, whose lists grow a little newer each time."""

    def __init__(self) -> None:
        self.lists: list[tuple[str, Selectors]] = []
        self.shards = [shard(0, "done"), shard(10, "processing")]
        self.version = 10
        self.fails_on = ""
        self.error: KubeError = UnavailableError(0, "NoAnswer", "connection refused")

    async def list_pages(
        self, path: str, selectors: Selectors = EVERYTHING, **_: Any
    ) -> AsyncIterator[tuple[list[dict[str, Any]], str]]:
        kind = path.rsplit("/", 1)[-1]
        self.lists.append((kind, selectors))
        self.version += 1
        if kind == self.fails_on:
            raise self.error

        found = {PLURAL: self.shards, BATCH_PLURAL: [BATCH]}.get(kind, [])
        if selectors.fields:
            found = [it for it in found if it["status"]["phase"] == "processing"]
        yield found, str(self.version)


def lists_of(server: FakeServer, state: State, *, has_imagebatches: bool = True) -> ObjectLists:
    fake: Any = server
    return ObjectLists(
        fake, "ns", state, asyncio.Event(), Heartbeat(), has_imagebatches=has_imagebatches
    )


async def test_finished_shards_are_known_before_anything_is_counted() -> None:
    """Otherwise, a shard that waits to be counted would be created again."""
    server, state = FakeServer(), State()
    await lists_of(server, state).read()

    assert state.knows_all_shards
    assert {*state.batches.shards} == {"b-b-uid-0", "b-b-uid-10"}
    assert [*state.batches.batches] == ["b"]
    assert [*state.batches.orphaned()] == []

    kinds = [kind for kind, _ in server.lists]
    unfinished, shards = kinds.index(PLURAL), len(kinds) - 1 - kinds[::-1].index(PLURAL)
    assert server.lists[unfinished][1] == UNFINISHED
    assert server.lists[shards][1] == Selectors(labels=BATCH_LABEL)
    # The watch continues from the older list.
    assert state.versions.listed[PLURAL] < server.version
    assert unfinished < shards < kinds.index(BATCH_PLURAL)


async def test_shards_that_are_gone_are_forgotten() -> None:
    server, state = FakeServer(), State()
    lists = lists_of(server, state)
    await lists.read()
    server.shards.pop(0)
    await lists.read()
    assert [*state.batches.shards] == ["b-b-uid-10"]


@pytest.mark.parametrize("kind", [PLURAL, BATCH_PLURAL])
async def test_nothing_is_decided_about_shards_after_a_loss(kind: str) -> None:
    server, state = FakeServer(), State()
    lists = lists_of(server, state)
    await lists.read()
    lists.record_loss()
    assert not state.knows_all_shards

    server.fails_on = kind
    with pytest.raises(UnavailableError):
        await lists.read()
    assert not state.knows_all_shards


async def test_older_chart_without_imagebatches_is_not_asked_for_them() -> None:
    server, state = FakeServer(), State()
    await lists_of(server, state, has_imagebatches=False).read()
    assert BATCH_PLURAL not in [kind for kind, _ in server.lists]
    assert not state.knows_all_shards


@pytest.mark.parametrize(
    "error", [NotFoundError(404, "NotFound", ""), KubeError(403, "Forbidden", "")]
)
async def test_single_images_do_not_wait_for_the_crd(error: KubeError) -> None:
    """The release with the CRDs may be upgraded last."""
    server, state = FakeServer(), State()
    server.fails_on, server.error = BATCH_PLURAL, error
    lists = lists_of(server, state)
    await lists.read()
    assert not state.knows_all_shards

    server.fails_on = ""
    await lists.read()
    assert state.knows_all_shards
