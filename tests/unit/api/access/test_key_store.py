"""Tests of what a replica knows of the API keys while the Secret changes."""

from collections.abc import AsyncIterator
from typing import Any

import pytest
from api_server import until
from fakes.keys_api import NAMESPACE, SECRET, KeysApi
from fakes.kube_server import connected
from vision_node_api.services.auth.key_store import WATCH_LAG_SECONDS, KeyStore, new_api_key
from vision_node_api.services.auth.keys_secret import KeysSecret
from vision_node_api.watch.follower import WatchFollower
from vision_node_contract.api_keys import SESSION_SECRET, new_key
from vision_node_contract.clients.kube import Kube, WatchEvent

FIRST, SECOND = "a" * 12, "b" * 12


class Clock:
    """A clock that a test moves."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def cluster() -> KeysApi:
    return KeysApi()


@pytest.fixture
async def kube(cluster: KeysApi) -> AsyncIterator[Kube]:
    async with connected(cluster) as kube:
        yield kube


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def keys(kube: Kube, clock: Clock) -> KeyStore:
    return KeyStore(KeysSecret(kube, NAMESPACE, SECRET), clock)


def entry(name: str = "jane") -> str:
    key = new_api_key(new_key()[1], name=name, owner=name, scopes=["read"], expires_at=None)
    return key.entry()


def secret(version: int, *ids: str, name: str = SECRET) -> dict[str, Any]:
    data = {f"key-{it}": entry() for it in ids}
    return {"metadata": {"name": name, "resourceVersion": str(version)}, "data": data}


def known(keys: KeyStore) -> set[str]:
    return {it for it in (FIRST, SECOND) if keys.get(it)}


async def test_only_the_one_secret_is_watched(cluster: KeysApi, kube: Kube, keys: KeyStore) -> None:
    cluster.put(f"key-{FIRST}", "{}")
    follower = WatchFollower(kube, keys.secret.list_path, keys.observe, keys.selectors)
    assert keys.count is None
    with follower.running():
        await until(lambda: cluster.requests["watch"] == 1)
        assert keys.is_loaded
        assert keys.count == 0, "the entry can't be read"
    assert cluster.selectors == {f"metadata.name={SECRET}"}


async def test_keys_are_known_after_the_first_list(keys: KeyStore) -> None:
    keys.observe(WatchEvent("PAGE", [secret(5, FIRST)]))
    assert not keys.is_loaded
    keys.observe(WatchEvent("SYNCED", names=frozenset({SECRET}), version="5"))
    assert keys.is_loaded
    assert known(keys) == {FIRST}


async def test_list_without_the_secret_has_no_keys(keys: KeyStore) -> None:
    keys.observe(WatchEvent("ADDED", [secret(5, FIRST)]))
    keys.observe(WatchEvent("SYNCED", version="6"))
    assert keys.is_loaded
    assert known(keys) == set()


async def test_secrets_of_others_are_ignored(keys: KeyStore) -> None:
    keys.observe(WatchEvent("ADDED", [secret(5, FIRST, name="other")]))
    assert known(keys) == set()


async def test_watch_adds_and_removes_keys(keys: KeyStore) -> None:
    keys.observe(WatchEvent("ADDED", [secret(5, FIRST)]))
    keys.observe(WatchEvent("MODIFIED", [secret(6, FIRST, SECOND)]))
    assert known(keys) == {FIRST, SECOND}
    keys.observe(WatchEvent("MODIFIED", [secret(7, SECOND)]))
    assert known(keys) == {SECOND}
    keys.observe(WatchEvent("DELETED", [secret(8, SECOND)]))
    assert known(keys) == set()


async def test_late_events_do_not_undo_what_this_replica_has_written(
    cluster: KeysApi, keys: KeyStore, clock: Clock
) -> None:
    cluster.version = 50
    key = new_api_key(new_key()[1], name="a", owner="a", scopes=["read"], expires_at=None)
    await keys.create(FIRST, key)
    assert known(keys) == {FIRST}

    keys.observe(WatchEvent("MODIFIED", [secret(50)]))
    keys.observe(WatchEvent("PAGE", [secret(50)]))
    keys.observe(WatchEvent("SYNCED", version="50"))
    assert known(keys) == {FIRST}

    keys.observe(WatchEvent("MODIFIED", [secret(52, SECOND)]))
    assert known(keys) == {SECOND}


async def test_late_events_do_not_bring_back_a_revoked_key(
    cluster: KeysApi, keys: KeyStore
) -> None:
    cluster.put(f"key-{FIRST}", "{}")
    await keys.revoke(FIRST)
    keys.observe(WatchEvent("MODIFIED", [secret(cluster.version - 1, FIRST)]))
    assert known(keys) == set()


async def test_late_answer_does_not_bring_back_a_revoked_key(
    cluster: KeysApi, keys: KeyStore
) -> None:
    """The watch may tell of a newer state while the API server answers a request."""
    cluster.data = {f"key-{FIRST}": entry()}
    keys.observe(WatchEvent("MODIFIED", [secret(cluster.version + 1)]))
    await keys.refresh()
    assert known(keys) == set()


async def test_older_state_after_a_restore_is_believed_in_the_end(
    cluster: KeysApi, keys: KeyStore, clock: Clock
) -> None:
    cluster.version = 5000
    cluster.put(f"key-{FIRST}", "{}")
    await keys.refresh()
    clock.now += WATCH_LAG_SECONDS
    keys.observe(WatchEvent("PAGE", [secret(20, SECOND)]))
    assert known(keys) == {SECOND}


async def test_unreadable_entries_are_reported_once(
    keys: KeyStore, caplog: pytest.LogCaptureFixture
) -> None:
    body = secret(5)
    body["data"] = {f"key-{FIRST}": "AAAA"}
    for _ in range(3):
        keys.observe(WatchEvent("MODIFIED", [body]))
    assert len(caplog.records) == 1


async def test_session_secret_is_added_once_and_shared(
    cluster: KeysApi, kube: Kube, keys: KeyStore
) -> None:
    other = KeyStore(KeysSecret(kube, NAMESPACE, SECRET))
    first = await keys.ensure_session_secret()
    assert await other.ensure_session_secret() == first == keys.session_secret
    assert len(first) == 32
    assert cluster.requests["patch"] == 1
    assert await keys.ensure_session_secret() == first
    assert SESSION_SECRET in cluster.body["data"]


@pytest.mark.parametrize("stored", [b"", b"short", b"x" * 31])
async def test_session_secret_that_can_be_guessed_is_replaced(
    cluster: KeysApi, keys: KeyStore, stored: bytes
) -> None:
    cluster.put(SESSION_SECRET, stored)
    await keys.refresh()
    assert keys.session_secret is None
    assert len(await keys.ensure_session_secret()) == 32
    assert keys.session_secret


async def test_two_replicas_add_one_session_secret(
    cluster: KeysApi, kube: Kube, keys: KeyStore
) -> None:
    other = KeyStore(KeysSecret(kube, NAMESPACE, SECRET))
    added: list[bytes] = []

    async def overtake() -> None:
        if not added:
            added.append(b"")
            added.append(await other.ensure_session_secret())

    cluster.before_patch = overtake
    assert await keys.ensure_session_secret() == added[1]
