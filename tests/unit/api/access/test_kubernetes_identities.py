"""Tests of clients that present tokens of Kubernetes."""

import asyncio
import base64
import json
from hashlib import sha256

import pytest
from api_server import until
from fakes.keys_api import AUDIENCE, NAMESPACE, User
from secured import SecuredApi, make_token
from vision_node_api.services.auth import kubernetes_identities
from vision_node_api.services.auth.identity_owner import owner_of
from vision_node_api.services.auth.kubernetes_identities import (
    MAX_ASKING,
    OUTAGE_SECONDS,
    REFUSAL_SECONDS,
    RIGHTS_SECONDS,
    KubernetesIdentities,
)
from vision_node_api.services.auth.kubernetes_reviews import KubernetesReviews
from vision_node_api.services.auth.token_claims import read_claims
from vision_node_api.web.problems import Problem

NOW = 1_800_000_000.0
ACCOUNT = "system:serviceaccount:apps:gallery"


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def identities(secured_api: SecuredApi, clock: Clock) -> KubernetesIdentities:
    reviews = KubernetesReviews(secured_api.kube, NAMESPACE, AUDIENCE)
    return KubernetesIdentities(reviews, clock)


@pytest.mark.parametrize(
    ("verbs", "scopes"),
    [
        (set(), []),
        ({"create"}, ["submit"]),
        ({"get"}, ["read"]),
        ({"create", "get"}, ["read", "submit"]),
        ({"list", "watch", "delete"}, []),
        ({"*"}, ["admin", "read", "submit"]),
    ],
)
async def test_rights_of_kubernetes_are_scopes(
    secured_api: SecuredApi, verbs: set[str], scopes: list[str]
) -> None:
    token = make_token(secured_api.cluster, User(ACCOUNT, verbs, ["g"]))
    async with secured_api.client(token) as client:
        found = (await client.get("/whoami")).json()
    assert found["scopes"] == scopes
    assert found["subject"] == ACCOUNT
    assert found["owner"] == "sa-apps.gallery"
    assert found["expires_at"].endswith("Z")


async def test_api_server_is_asked_for_the_namespace_and_all_that_it_knows_of_the_user(
    secured_api: SecuredApi,
) -> None:
    token = make_token(secured_api.cluster, User("jane", {"get"}, ["g"]))
    async with secured_api.client(token) as client:
        await client.get("/whoami")

    first, *others = secured_api.cluster.reviews
    assert first["spec"] == {"token": token, "audiences": [AUDIENCE]}
    attributes = [it["spec"].pop("resourceAttributes") for it in others]
    assert {it.pop("verb") for it in attributes} == {"create", "get", "*"}
    resource = {"namespace": NAMESPACE, "group": "vision-node.dev", "resource": "imagejobs"}
    assert attributes == [resource] * 3
    user = {"user": "jane", "groups": ["g"], "uid": "1", "extra": {"k": ["v"]}}
    assert [it["spec"] for it in others] == [user] * 3


async def test_rights_are_used_for_a_minute(
    secured_api: SecuredApi, identities: KubernetesIdentities, clock: Clock
) -> None:
    user = User("jane", {"get"})
    token = make_token(secured_api.cluster, user)
    for _ in range(5):
        found = await identities.identify(token)
        assert found
        assert found.access.scopes == {"read"}
    assert secured_api.cluster.requests["token"] == 1
    assert secured_api.cluster.requests["access"] == 3

    user.verbs = {"create"}
    clock.now += RIGHTS_SECONDS
    found = await identities.identify(token)
    assert found
    assert found.access.scopes == {"submit"}

    del secured_api.cluster.users[token]
    clock.now += RIGHTS_SECONDS
    assert await identities.identify(token) is None


async def test_refusals_are_used_for_some_seconds(
    secured_api: SecuredApi, identities: KubernetesIdentities, clock: Clock
) -> None:
    token = make_token(secured_api.cluster, User("jane"))
    user = secured_api.cluster.users.pop(token)
    for _ in range(5):
        assert await identities.identify(token) is None
    assert secured_api.cluster.requests["token"] == 1

    secured_api.cluster.users[token] = user
    clock.now += REFUSAL_SECONDS
    assert await identities.identify(token)


async def test_simultaneous_requests_with_a_token_ask_once(
    secured_api: SecuredApi, identities: KubernetesIdentities
) -> None:
    token = make_token(secured_api.cluster, User("jane", {"get"}))
    found = await asyncio.gather(*(identities.identify(token) for _ in range(50)))
    assert all(found)
    assert secured_api.cluster.requests["token"] == 1


async def test_client_that_leaves_does_not_end_the_question_of_others(
    secured_api: SecuredApi, identities: KubernetesIdentities
) -> None:
    answer = asyncio.Event()

    async def wait() -> None:
        await answer.wait()

    secured_api.cluster.before_review = wait
    token = make_token(secured_api.cluster, User("jane", {"get"}))
    leaving = asyncio.create_task(identities.identify(token))
    staying = asyncio.create_task(identities.identify(token))
    await until(lambda: secured_api.cluster.requests["token"] == 1)
    leaving.cancel()
    answer.set()
    assert await staying


async def test_number_of_questions_is_limited(
    secured_api: SecuredApi, identities: KubernetesIdentities
) -> None:
    """Forged tokens can't make the API flood the API server, and known tokens still work."""
    known = make_token(secured_api.cluster, User("jane", {"get"}))
    assert await identities.identify(known)
    answer = asyncio.Event()
    simultaneous: list[int] = []

    async def wait() -> None:
        simultaneous.append(secured_api.cluster.requests["token"])
        await answer.wait()

    secured_api.cluster.before_review = wait
    forged = [
        make_token(secured_api.cluster, User(f"u{n}"), signature=f"s{n}")
        for n in range(2 * MAX_ASKING)
    ]
    asking = [asyncio.create_task(identities.identify(it)) for it in forged[:MAX_ASKING]]
    await until(lambda: len(simultaneous) == kubernetes_identities.MAX_SIMULTANEOUS)

    for token in forged[MAX_ASKING:]:
        with pytest.raises(Problem) as caught:
            await identities.identify(token)
        assert caught.value.reason == "AuthenticationUnavailable"
    assert await identities.identify(known)
    assert len(simultaneous) == kubernetes_identities.MAX_SIMULTANEOUS

    answer.set()
    assert len(await asyncio.gather(*asking)) == MAX_ASKING


async def test_number_of_answers_is_limited(
    secured_api: SecuredApi, identities: KubernetesIdentities, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(kubernetes_identities, "MAX_CACHED", 2)
    right = [make_token(secured_api.cluster, User(f"u{n}"), signature=f"s{n}") for n in range(3)]
    wrong = [f"{right[0]}{n}" for n in range(5)]
    for token in (right[0], right[1], *wrong, right[0], right[2]):
        await identities.identify(token)

    asked = secured_api.cluster.requests["token"]
    for token in (right[0], right[2]):
        assert await identities.identify(token)
    assert secured_api.cluster.requests["token"] == asked
    assert await identities.identify(right[1])
    assert secured_api.cluster.requests["token"] == asked + 1


async def test_known_rights_outlast_an_outage(
    secured_api: SecuredApi, identities: KubernetesIdentities, clock: Clock
) -> None:
    token = make_token(secured_api.cluster, User("jane", {"get"}))
    assert await identities.identify(token)
    secured_api.cluster.is_away = True
    clock.now += OUTAGE_SECONDS - 1
    assert await identities.identify(token)

    clock.now += 1
    with pytest.raises(Problem) as caught:
        await identities.identify(token)
    assert (caught.value.status, caught.value.reason) == (503, "AuthenticationUnavailable")


async def test_unknown_token_during_an_outage_is_not_called_wrong(
    secured_api: SecuredApi, caplog: pytest.LogCaptureFixture
) -> None:
    token = make_token(secured_api.cluster, User("jane", {"get"}))
    secured_api.cluster.is_away = True
    async with secured_api.client(token) as client:
        for _ in range(3):
            response = await client.get("/whoami")
            assert (response.status_code, response.headers["retry-after"]) == (503, "2")
            assert response.json()["reason"] == "AuthenticationUnavailable"

    reported = [it for it in caplog.messages if "tokens can't be checked" in it]
    assert len(reported) == 1
    assert token not in caplog.text

    secured_api.cluster.is_away = False
    async with secured_api.client(token) as client:
        assert (await client.get("/whoami")).status_code == 200


async def test_token_for_another_audience_is_refused(secured_api: SecuredApi) -> None:
    user = User("jane", {"*"}, audiences=["https://kubernetes.default.svc"])
    claims_ours = make_token(secured_api.cluster, user)
    claims_another = make_token(secured_api.cluster, user, audience=user.audiences)
    for token in (claims_ours, claims_another):
        async with secured_api.client(token) as client:
            assert (await client.get("/whoami")).status_code == 401
    assert secured_api.cluster.requests["token"] == 1


async def test_api_server_that_knows_no_audiences_is_not_believed(secured_api: SecuredApi) -> None:
    token = make_token(secured_api.cluster, User("jane", {"*"}, audiences=[]))
    async with secured_api.client(token) as client:
        assert (await client.get("/whoami")).status_code == 401


async def test_tokens_are_refused_unless_the_release_accepts_them(secured_api: SecuredApi) -> None:
    token = make_token(secured_api.cluster, User("jane", {"*"}))
    object.__setattr__(secured_api.authentication, "users", None)
    async with secured_api.client(token) as client:
        assert (await client.get("/whoami")).status_code == 401
    assert secured_api.cluster.requests["token"] == 0


def segment(content: object) -> str:
    text = content if isinstance(content, bytes) else json.dumps(content).encode()
    return base64.urlsafe_b64encode(text).decode().rstrip("=")


def token_of(claims: object) -> str:
    return f"{segment({'alg': 'none'})}.{segment(claims)}.c2ln"


RIGHT = {"aud": AUDIENCE, "exp": NOW + 60}

IMPOSSIBLE: dict[str, str] = {
    "nothing": "",
    "one segment": "abc",
    "two segments": "a.b",
    "four segments": f"{token_of(RIGHT)}.a",
    "no signature": token_of(RIGHT).rsplit(".", 1)[0] + ".",
    "no header": "." + token_of(RIGHT).split(".", 1)[1],
    "padding": f"{token_of(RIGHT)}=",
    "other characters": token_of(RIGHT).replace(".", ".+"),
    "no base64": "a.a.a",
    "no JSON": token_of(b"\xff"),
    "no object": token_of([RIGHT]),
    "nested JSON": token_of(b"[" * 5000),
    "no claims": token_of({}),
    "no audience": token_of({"exp": NOW + 60}),
    "another audience": token_of({**RIGHT, "aud": "other"}),
    "other audiences": token_of({**RIGHT, "aud": ["other", {"a": AUDIENCE}]}),
    "part of the audience": token_of({**RIGHT, "aud": f"{AUDIENCE}x"}),
    "an expired one": token_of({**RIGHT, "exp": NOW - 1}),
    "one that expires now": token_of({**RIGHT, "exp": NOW}),
    "a text as the expiry": token_of({**RIGHT, "exp": "9999999999"}),
    "a truth value as the expiry": token_of({**RIGHT, "exp": True}),
    "no number": token_of(b'{"aud":"vision-node","exp":NaN}'),
}


@pytest.mark.parametrize("case", IMPOSSIBLE)
def test_token_that_can_not_be_valid_is_refused(case: str) -> None:
    assert read_claims(IMPOSSIBLE[case], AUDIENCE, NOW) is None


@pytest.mark.parametrize(
    ("claims", "expires_at"),
    [
        (RIGHT, NOW + 60),
        ({**RIGHT, "aud": ["other", AUDIENCE]}, NOW + 60),
        ({"aud": AUDIENCE}, None),
        ({**RIGHT, "exp": 10**400}, 253_402_300_799),
        ({**RIGHT, "exp": 1e300}, 253_402_300_799),
    ],
)
def test_token_that_may_be_valid_is_worth_a_question(
    claims: object, expires_at: float | None
) -> None:
    found = read_claims(token_of(claims), AUDIENCE, NOW)
    assert found
    assert found.expires_at == expires_at


async def test_impossible_tokens_cost_the_api_server_nothing(secured_api: SecuredApi) -> None:
    never = [
        it for case, it in IMPOSSIBLE.items() if "expires" not in case and "expired" not in case
    ]
    for token in never:
        async with secured_api.client() as client:
            headers = {"Authorization": f"Bearer {token}"}
            assert (await client.get("/whoami", headers=headers)).status_code == 401
    assert secured_api.cluster.requests["token"] == 0


def hashed(username: str) -> str:
    return sha256(username.encode()).hexdigest()[:32]


LONG = f"system:serviceaccount:{'n' * 40}:{'s' * 40}"
EDGE = f"system:serviceaccount:{'n' * 29}:{'s' * 30}"


@pytest.mark.parametrize(
    ("username", "owner"),
    [
        (ACCOUNT, "sa-apps.gallery"),
        ("system:serviceaccount:apps:a.b", "sa-apps.a.b"),
        (EDGE, f"sa-{'n' * 29}.{'s' * 30}"),
        (f"{EDGE}s", f"sa-{hashed(f'{EDGE}s')}"),
        (LONG, f"sa-{hashed(LONG)}"),
        ("system:serviceaccount:a:b:c", f"user-{hashed('system:serviceaccount:a:b:c')}"),
        ("jane", f"user-{hashed('jane')}"),
        ("jane@example.com", f"user-{hashed('jane@example.com')}"),
        ("grün", f"user-{hashed('grün')}"),
        ("sa-apps.gallery", f"user-{hashed('sa-apps.gallery')}"),
    ],
)
def test_owner_of_a_user_is_the_value_of_a_label(username: str, owner: str) -> None:
    assert owner_of(username) == owner
    assert len(owner) <= 63
