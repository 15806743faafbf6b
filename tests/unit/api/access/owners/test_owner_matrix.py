"""Tests of all routes with two owners: neither gets anything of the other."""

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any, cast

import httpx
import pytest
from api_documents import owner_matrix
from api_documents.owner_matrix import MATRIX, Route, Sees
from api_fakes import Cluster, batches_of, jobs_of
from conformance.conftest import LastingCluster
from fakes.s3 import S3
from history.api_archive import Archive
from owner_world import ANNA, BEN, OPS, PNG, Owned, World
from secured import SecuredApi
from vision_node_api.owner_limits import UNLIMITED, LimitsByOwner
from vision_node_api.routes.required_scopes import REQUIRED
from vision_node_api.services.batches.batches import Batches
from vision_node_api.services.history.reader import HistoryReader
from vision_node_api.services.jobs import Jobs
from vision_node_api.web.access import Scope
from vision_node_contract.bucket_keys import BucketFolders
from vision_node_contract.clients.bucket import Bucket
from vision_node_contract.names import OWNER_LABEL
from vision_node_operator.archiver.history.store import HistoryStore

FOLDERS = BucketFolders("aaaabbbbcccc")
RAW = {"Content-Type": "image/png"}


@dataclass(frozen=True)
class Case:
    """A request for one object."""

    status: int
    """What the owner gets."""
    own: Callable[[Owned], str]
    """The object for which the owner and an administrator ask."""
    all: Callable[[Owned], list[str]]
    """The objects for which another owner asks."""
    request: dict[str, Any] = field(default_factory=dict)


def job(status: int, own: Callable[[Owned], str] = lambda it: it.done, **request: Any) -> Case:
    return Case(status, own, lambda it: it.job_ids, request)


def batch(status: int, own: Callable[[Owned], str] = lambda it: it.batch, **request: Any) -> Case:
    return Case(status, own, lambda it: it.batch_names, request)


def image(status: int, **request: Any) -> Case:
    return Case(status, lambda it: it.inbox, lambda it: [it.inbox], request)


OBJECTS: dict[Route, Case] = {
    ("GET", "/status/{job_id}"): job(200),
    ("GET", "/result/{job_id}"): job(200),
    ("GET", "/jobs/{job_id}"): job(200),
    ("DELETE", "/jobs/{job_id}"): job(204),
    # The objects have no callback.
    ("POST", "/jobs/{job_id}/callback/redeliver"): job(409),
    ("POST", "/jobs/{job_id}/cancel"): job(200, lambda it: it.queued),
    ("GET", "/jobs/{job_id}/events"): job(200),
    ("GET", "/jobs/{job_id}/image"): job(200),
    ("POST", "/jobs/{job_id}/retry"): job(202, headers={"Idempotency-Key": "again"}),
    ("GET", "/jobs/{job_id}/thumbnail"): job(200),
    ("GET", "/batches/{name}"): batch(200),
    ("DELETE", "/batches/{name}"): batch(204),
    ("POST", "/batches/{name}/callback/redeliver"): batch(409),
    ("POST", "/batches/{name}/cancel"): batch(200, lambda it: it.open),
    ("GET", "/batches/{name}/events"): batch(200),
    ("GET", "/batches/{name}/images"): batch(200, lambda it: it.open),
    ("PUT", "/batches/{name}/images/{custom_id}"): batch(201, lambda it: it.open, content=PNG),
    ("GET", "/batches/{name}/results"): batch(200),
    ("POST", "/batches/{name}/resume"): batch(200, lambda it: it.open),
    ("POST", "/batches/{name}/retry"): batch(202),
    ("POST", "/batches/{name}/start"): batch(202, lambda it: it.open),
    ("POST", "/batches/{name}/suspend"): batch(200, lambda it: it.open),
    ("GET", "/inbox/{name}"): image(200),
    ("DELETE", "/inbox/{name}"): image(204),
}

Query = Callable[[Owned], dict[str, Any]]

_JOBS: list[Query] = [
    lambda it: {"owner": it.owner},
    lambda it: {"batch": it.old_batch},
    lambda it: {"batch": it.old_batch, "owner": it.owner},
    lambda it: {"batch": it.batch},
    lambda it: {"q": it.canary},
    lambda it: {"q": it.canary, "batch": it.old_batch},
    lambda it: {"label": f"team={it.canary}"},
]

LISTS: dict[Route, list[Query]] = {
    ("GET", "/jobs"): _JOBS,
    ("GET", "/jobs/export"): [*_JOBS, lambda it: {"format": "csv", "owner": it.owner}],
    ("GET", "/batches"): [lambda it: {"owner": it.owner}],
    ("GET", "/inbox"): [lambda it: {"prefix": it.canary}],
    ("GET", "/inbox/"): [lambda it: {"prefix": it.canary}],
}
"""Parameters with which a client may try to find what others have."""

BODIES: dict[Route, dict[str, Any]] = {
    ("POST", "/jobs/retry"): {"json": {"reason": "ContentRefused", "limit": 10}},
}
"""Requests for lists that have a body."""

EVENTS = ("GET", "/events")
"""The list that does not end. test_owner_events.py is about it."""

CREATES: dict[Route, dict[str, Any]] = {
    ("POST", "/submit"): {"content": PNG, "headers": RAW},
    ("POST", "/batches"): {"json": {"upload": {}}},
    ("POST", "/inbox/{name}"): {"content": PNG, "headers": RAW},
}

SAME = (("GET", "/describers"),)

SCOPES: dict[str, tuple[Scope, ...]] = {
    "submit": ("submit",),
    "read": ("read",),
    "submit and read": ("submit", "read"),
}


@pytest.fixture
def cluster() -> Cluster:
    return LastingCluster()


@pytest.fixture
def jobs(bucket: Bucket, cluster: Cluster, reader: HistoryReader) -> Jobs:
    found = jobs_of(cluster, cast("Any", bucket))
    # The tests send more requests than an owner may send at once.
    settings = replace(found.settings, owner_limits=LimitsByOwner(UNLIMITED))
    return replace(found, settings=settings, history=reader)


@pytest.fixture
def batches(cluster: Cluster, jobs: Jobs, reader: HistoryReader) -> Batches:
    return replace(batches_of(cluster, jobs), history=reader)


@pytest.fixture
async def world(
    jobs: Jobs, batches: Batches, cluster: Cluster, s3: S3, history: HistoryStore
) -> World:
    """Objects of two owners, and of none."""
    world = World(jobs, batches, cluster, s3, Archive(history))
    for place, owner in enumerate((ANNA, BEN, "")):
        await world.fill(owner, 100 * (place + 1))
    return world


ClientOf = Callable[..., httpx.AsyncClient]


@pytest.fixture
def client_of(secured_api: SecuredApi) -> ClientOf:
    """Function that takes an owner, and scopes, and returns a client with such a key."""

    def connect(owner: str, *scopes: Scope) -> httpx.AsyncClient:
        usual: tuple[Scope, ...] = ("admin",) if owner == OPS else ("submit", "read")
        return secured_api.client(secured_api.make_key(owner, scopes or usual))

    return connect


async def send(
    client: httpx.AsyncClient, route: Route, name: str, **request: Any
) -> httpx.Response:
    """Send a request for the object with this name."""
    method, template = route
    path = template.replace("{custom_id}", "cat.png")
    path = path.replace("{job_id}", name).replace("{name}", name)
    return await client.request(method, path, **request)


def answer(response: httpx.Response, asked: Owned) -> tuple[int, dict[str, str], str]:
    """Return everything that a client sees, as if it had asked for an object that exists."""
    headers = {name: asked.known_in(it) for name, it in response.headers.items()}
    return response.status_code, headers, asked.known_in(response.text)


def leaks(response: httpx.Response, of: Owned, said: str = "") -> list[str]:
    """Return what an answer tells of someone else, except for what the request itself has said."""
    text = f"{response.headers}{response.text}"
    return [it for it in of.secrets if it in text and it not in said]


def stored(world: World) -> tuple[Any, ...]:
    """Return everything that a client could change."""
    return dict(world.cluster.jobs), dict(world.cluster.batches), dict(world.s3.objects)


def test_every_route_is_tried() -> None:
    restricted = {route for route, needed in REQUIRED.items() if needed != "public"}
    assert set(MATRIX) == restricted, "Add the route to tests/api_documents/owner_matrix.py."

    tried = {
        Sees.OBJECT: {*OBJECTS},
        Sees.LIST: {*LISTS, *BODIES, EVENTS},
        Sees.CREATES: {*CREATES},
        Sees.SAME: {*SAME},
    }
    for sees, routes in tried.items():
        assert {it for it, kind in MATRIX.items() if kind is sees} == routes


def test_documentation_has_the_table() -> None:
    page = owner_matrix.PATH.read_text()
    assert page == owner_matrix.access_page(page), "Run `make format`."


async def test_objects_of_another_owner_are_answered_like_unknown_ones(
    client_of: ClientOf, world: World
) -> None:
    before = stored(world)

    async with client_of(BEN) as client:
        for other in (world.owned[ANNA], world.owned[""]):
            for route, case in OBJECTS.items():
                for name, unknown in zip(case.all(other), case.all(other.unknown), strict=True):
                    found = await send(client, route, name, **case.request)
                    missing = await send(client, route, unknown, **case.request)

                    assert found.status_code == 404, (route, name)
                    assert answer(found, other) == answer(missing, other)
                    assert leaks(found, other, said=name) == []

    assert stored(world) == before


@pytest.mark.parametrize("route", OBJECTS, ids=" ".join)
async def test_owner_and_administrator_get_the_object(
    route: Route, client_of: ClientOf, world: World
) -> None:
    case = OBJECTS[route]
    own, of_ben, of_none = (world.owned[it] for it in (ANNA, BEN, ""))

    for owner, asked in ((ANNA, own), (OPS, of_ben), (OPS, of_none)):
        name = case.own(asked)
        if owner == OPS and "/inbox/" in route[1] and asked.owner:
            name = f"owners/{asked.owner}/{name}"
        async with client_of(owner) as client:
            response = await send(client, route, name, **case.request)
        assert response.status_code == case.status, response.text


async def test_lists_have_only_own_objects(client_of: ClientOf, world: World) -> None:
    anna, ben = world.owned[ANNA], world.owned[BEN]

    async with client_of(BEN) as client:
        for route, queries in LISTS.items():
            everything = await client.request(*route)
            assert everything.status_code == 200
            assert leaks(everything, ben) != []
            for other in (anna, world.owned[""]):
                assert leaks(everything, other) == []

            for query in queries:
                found = await client.request(*route, params=query(anna))
                missing = await client.request(*route, params=query(anna.unknown))
                assert found.status_code == 200
                assert answer(found, anna) == answer(missing, anna)
                assert leaks(found, anna) == []


async def test_administrator_lists_all_objects(client_of: ClientOf, world: World) -> None:
    async with client_of(OPS) as client:
        for route in (*LISTS, *BODIES):
            response = await client.request(*route, **BODIES.get(route, {}))
            assert response.status_code == 200
            for owned in world.owned.values():
                names = [*owned.job_ids, *owned.batch_names, owned.inbox]
                assert any(name in response.text for name in names)


async def test_list_of_an_owner_is_the_same_with_and_without_the_parameter(
    client_of: ClientOf, world: World
) -> None:
    async with client_of(ANNA) as client:
        for path in ("/jobs", "/batches"):
            every, own = [await client.get(path, params=it) for it in ({}, {"owner": ANNA})]
            assert every.json() == own.json()
            assert every.json()[path[1:]]


async def test_cursor_of_another_owner_leads_to_own_jobs(client_of: ClientOf, world: World) -> None:
    async with client_of(OPS) as client:
        first = (await client.get("/jobs", params={"limit": 1})).json()
    async with client_of(BEN) as client:
        following = await client.get("/jobs", params={"cursor": first["next"]})

    assert following.status_code == 200
    assert leaks(following, world.owned[ANNA]) == []


@pytest.mark.parametrize("route", BODIES, ids=" ".join)
async def test_failed_jobs_of_others_are_not_retried(
    route: Route, client_of: ClientOf, world: World
) -> None:
    async with client_of(BEN) as client:
        response = await client.request(*route, **BODIES[route])

    (retried,) = response.json()["retried"]
    assert retried["retry_of"] == world.owned[BEN].failed
    assert response.json()["failed"] == []
    assert leaks(response, world.owned[ANNA]) == []
    assert world.cluster.jobs[retried["job_id"]].metadata.labels[OWNER_LABEL] == BEN


@pytest.mark.parametrize("route", CREATES, ids=" ".join)
async def test_what_a_client_creates_belongs_to_its_owner(
    route: Route, client_of: ClientOf, world: World
) -> None:
    name = f"{world.owned[ANNA].canary}/new.png"
    answers = {}
    for owner in (ANNA, BEN, OPS):
        async with client_of(owner) as client:
            client.headers["Idempotency-Key"] = "the same"
            response = await send(client, route, name, **CREATES[route])
        assert response.status_code in {200, 201, 202}, response.text
        if owner == BEN:
            assert leaks(response, world.owned[ANNA], said=name) == []
        answers[owner] = response.json()

    keys = {owner: owner_of(found, world) for owner, found in answers.items()}
    assert keys == {owner: owner for owner in answers}


def owner_of(found: dict[str, Any], world: World) -> str:
    """Return to whom the created object belongs."""
    if "job_id" in found:
        return world.cluster.jobs[found["job_id"]].metadata.labels[OWNER_LABEL]
    if "links" in found:
        return str(world.cluster.batches[found["name"]]["metadata"]["labels"][OWNER_LABEL])

    key = found["key"]
    assert key in world.s3.objects
    owned = FOLDERS.owned_folder(key)
    return owned.split("/")[-2] if owned else OPS


@pytest.mark.parametrize("route", SAME, ids=" ".join)
async def test_answer_is_the_same_for_all(route: Route, client_of: ClientOf, world: World) -> None:
    texts = set()
    for owner in (ANNA, BEN, OPS):
        async with client_of(owner) as client:
            response = await client.request(*route)
        assert response.status_code == 200
        texts.add(response.text)
    assert len(texts) == 1


async def test_client_is_told_only_about_itself(client_of: ClientOf, world: World) -> None:
    for route in (it for it, sees in MATRIX.items() if sees in {Sees.CLIENT, Sees.USAGE}):
        async with client_of(BEN) as client:
            response = await client.request(*route)
        assert response.status_code == 200
        assert leaks(response, world.owned[ANNA]) == []


async def test_usage_of_another_owner_is_only_for_administrators(client_of: ClientOf) -> None:
    async with client_of(BEN) as client:
        refused = await client.get("/usage", params={"owner": ANNA})
    assert (refused.status_code, refused.json()["reason"]) == (403, "Forbidden")

    async with client_of(OPS) as client:
        assert (await client.get("/usage", params={"owner": ANNA})).status_code == 200


@pytest.mark.parametrize("scopes", SCOPES)
async def test_scope_is_needed_whoever_owns_the_object(
    scopes: str, client_of: ClientOf, world: World
) -> None:
    given, anna, before = SCOPES[scopes], world.owned[ANNA], stored(world)
    refused = [it for it in MATRIX if REQUIRED[it] not in {"any", *given}]

    for owner in (ANNA, BEN):
        async with client_of(owner, *given) as client:
            for route in refused:
                answers = [await send(client, route, name) for name in names_for(route, anna)]
                assert {it.status_code for it in answers} == {403}, route
                assert len({str(answer(it, anna)) for it in answers}) == 1
                assert answers[0].json()["reason"] == "Forbidden"

    assert refused
    assert stored(world) == before


async def test_nobody_gets_anything_without_a_key(secured_api: SecuredApi, world: World) -> None:
    anna, before = world.owned[ANNA], stored(world)
    async with secured_api.client() as client:
        for route in MATRIX:
            names = names_for(route, anna)
            answers = [await send(client, route, name) for name in names]
            assert {it.status_code for it in answers} == {401}, route
            assert leaks(answers[0], anna, said=names[0]) == []

    assert stored(world) == before


def names_for(route: Route, owned: Owned) -> list[str]:
    """Return the name of an object for the route, and one that no object has."""
    case = OBJECTS.get(route)
    return [case.own(it) if case else it.canary for it in (owned, owned.unknown)]
