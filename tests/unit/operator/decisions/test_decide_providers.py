"""Tests of a Describer's sidecar, its fallback, and its conditions about the provider."""

import json
from typing import Any

import pytest
from vision_node_contract.models.describer import DEPRECATED, FALLBACK_READY, READY
from vision_node_contract.models.imagejob import Condition
from vision_node_contract.models.reasons import Reason
from vision_node_contract.names import DESCRIBER_LABEL, WARNING_ANNOTATION
from world import SPEC, TEMPLATE, World, at, pool_of

Json = dict[str, Any]

SIDECAR = {
    "image": "mine:1",
    "args": ["--fast"],
    "port": 7000,
    "env": [{"name": "SIZE", "value": "small"}],
    "resources": {"limits": {"memory": "1Gi"}},
}


@pytest.fixture
def world() -> World:
    return World()


def pod_of(spec: Json, base: Json = TEMPLATE) -> Json:
    made: Json = pool_of({"metadata": {"name": "mine"}, "spec": spec}, base).pod_template["spec"]
    return made


def env_of(pod: Json) -> dict[str, str]:
    return {variable["name"]: variable["value"] for variable in pod["containers"][0]["env"]}


def condition(world: World, kind: str, after: float = 0) -> Condition | None:
    """Return a condition in the decided status update."""
    update = world.status_update(after)
    assert update is not None
    return update.status.condition(kind)


def test_sidecar_gets_its_own_settings_and_none_of_the_workers_secrets() -> None:
    restricted = {"allowPrivilegeEscalation": False}
    worker = {
        "name": "worker",
        "imagePullPolicy": "Never",
        "securityContext": restricted,
        "env": [{"name": "S3_SECRET_KEY", "value": "secret"}],
        "volumeMounts": [{"name": "kube-api-access", "mountPath": "/token"}],
    }
    pod = pod_of({"provider": "http", "sidecar": SIDECAR}, {"spec": {"containers": [worker]}})
    (sidecar,) = pod["initContainers"]
    assert sidecar.pop("startupProbe")["tcpSocket"] == {"port": 7000}
    assert sidecar == {
        "name": "sidecar",
        "restartPolicy": "Always",
        "image": "mine:1",
        "imagePullPolicy": "Never",
        "args": ["--fast"],
        "env": [{"name": "SIZE", "value": "small"}],
        "resources": {"requests": {}, "limits": {"memory": "1Gi"}},
        "ports": [{"name": "describe", "containerPort": 7000}],
        "securityContext": restricted,
        "volumeMounts": [{"name": "sidecar-tmp", "mountPath": "/tmp"}],  # noqa: S108
    }
    assert json.loads(env_of(pod)["DESCRIBER_OPTIONS"]) == {"url": "http://127.0.0.1:7000/describe"}


def test_url_in_the_options_overrides_the_url_of_the_sidecar() -> None:
    spec = {"provider": "http", "sidecar": SIDECAR, "options": {"url": "http://127.0.0.1:7000/v2"}}
    assert json.loads(env_of(pod_of(spec))["DESCRIBER_OPTIONS"]) == {
        "url": "http://127.0.0.1:7000/v2"
    }


def template_of(world: World) -> Json:
    pool = world.state.describers.pool("metadata")
    assert pool is not None
    spec: Json = pool.pod_template["spec"]
    return spec


def report_describer(world: World, name: str, **spec: Any) -> None:
    world.observe("describers", name, spec={**SPEC, **spec})


def test_workers_are_configured_for_a_fallback_that_is_created_later(world: World) -> None:
    report_describer(world, "metadata", provider="openai", fallback="plain")
    assert "FALLBACK" not in env_of(template_of(world))
    assert condition(world, FALLBACK_READY).status == "False"  # type: ignore[union-attr]
    report_describer(world, "plain", provider="metadata", model="m", options={"a": 1})
    variables = env_of(template_of(world))
    assert {name: value for name, value in variables.items() if name.startswith("FALLBACK")} == {
        "FALLBACK": "plain",
        "FALLBACK_PROVIDER": "metadata",
        "FALLBACK_MODEL": "m",
        "FALLBACK_OPTIONS": '{"a": 1}',
    }
    assert condition(world, FALLBACK_READY).status == "True"  # type: ignore[union-attr]
    world.forget("describers", "plain")
    assert "FALLBACK" not in env_of(template_of(world))


@pytest.mark.parametrize(
    ("other", "words"),
    [
        ({"image": "theirs"}, "another image"),
        ({"command": ["run"]}, "another image or command"),
        ({"env": [{"name": "KEY", "value": "1"}]}, "env or envFrom"),
        ({"envFrom": [{"secretRef": {"name": "keys"}}]}, "env or envFrom"),
        ({"provider": "http", "sidecar": SIDECAR}, "has a sidecar"),
    ],
)
def test_incompatible_fallback_is_reported(world: World, other: Json, words: str) -> None:
    report_describer(world, "plain", **other)
    report_describer(world, "metadata", fallback="plain")
    reported = condition(world, FALLBACK_READY)
    assert reported is not None
    assert (reported.status, reported.reason) == ("False", "FallbackUnavailable")
    assert words in reported.message


def test_describer_cannot_be_its_own_fallback(world: World) -> None:
    report_describer(world, "metadata", fallback="metadata")
    assert condition(world, FALLBACK_READY).status == "False"  # type: ignore[union-attr]


def end_job(world: World, name: str, reason: Reason | None, **result: Any) -> None:
    """Report that an ImageJob was processed and failed with `reason`; None means success."""
    world.processing(name, "w0")
    error = (
        {"error": {"reason": reason, "message": f"{reason}!", "retryable": False}} if reason else {}
    )
    world.job(
        name, phase="failed" if reason else "done", worker="w0", attempts=1, **error, **result
    )


@pytest.mark.parametrize(
    "reason",
    [
        Reason.CREDENTIALS_MISSING,
        Reason.CREDENTIALS_REFUSED,
        Reason.MODEL_NOT_FOUND,
        Reason.OPTIONS_INVALID,
        Reason.QUOTA_EXHAUSTED,
    ],
)
def test_provider_problem_is_reported_until_the_next_success(world: World, reason: Reason) -> None:
    world.worker(0)
    end_job(world, "a", reason)
    reported = condition(world, READY)
    assert reported is not None
    assert (reported.status, reported.reason, reported.message) == ("False", reason, f"{reason}!")
    end_job(world, "b", Reason.IMAGE_UNREADABLE)
    assert condition(world, READY).status == "False"  # type: ignore[union-attr]
    end_job(world, "c", None)
    assert condition(world, READY).reason == "Serving"  # type: ignore[union-attr]


@pytest.mark.parametrize("reason", ["QuotaExhausted", "DescriberNotFound"])
def test_permanent_problem_is_reported_even_if_the_fallback_works(
    world: World, reason: str
) -> None:
    world.worker(0)
    fallback = {"from": "metadata", "reason": reason}
    end_job(world, "a", None, result={"describer": "plain", "summary": "", "fallback": fallback})
    assert condition(world, READY).reason == reason  # type: ignore[union-attr]


def test_changed_describer_clears_the_provider_problem(world: World) -> None:
    world.worker(0)
    end_job(world, "a", Reason.MODEL_NOT_FOUND)
    report_describer(world, "metadata", model="better")
    assert condition(world, READY).status == "True"  # type: ignore[union-attr]


def test_reported_provider_problem_survives_a_restart(world: World) -> None:
    reported = {"type": READY, "status": "False", "reason": "CredentialsRefused", "message": "no"}
    dated = {"lastTransitionTime": at(-9000), "observedGeneration": 1}
    world.describer(status={"conditions": [{**reported, **dated}]})
    world.job("old", phase="done", worker="w0", attempts=1)
    assert condition(world, READY).reason == "CredentialsRefused"  # type: ignore[union-attr]
    world.job("new", created=-8000)
    assert not [line for line in world.decide() if line.startswith("fail")], "workers are serving"


def test_warning_is_kept_while_no_worker_serves(world: World) -> None:
    world.worker(0)
    meta = {
        "labels": {DESCRIBER_LABEL: "metadata"},
        "annotations": {WARNING_ANNOTATION: "ends soon"},
    }
    world.observe("leases", "w0", metadata=meta, spec={"renewTime": at(0)})
    reported = condition(world, DEPRECATED)
    assert reported is not None
    assert (reported.status, reported.reason, reported.message) == (
        "True",
        "RetirementAnnounced",
        "ends soon",
    )
    world.describer(status={"conditions": [reported.to_json()]})
    world.forget("leases", "w0")
    assert condition(world, DEPRECATED) == reported
    world.lease(0, 1)
    assert condition(world, DEPRECATED, 1) is None


def test_rate_limited_attempts_are_free_within_a_limit(world: World) -> None:
    world.worker(0)
    error = {"reason": "RateLimited", "message": "slow", "retryable": True, "retryAfterSeconds": 90}
    world.processing("a", "w0", attempts=3, losses=2, error=error)
    assert world.decide() == ["requeue a RateLimited +90 free"]
    world.processing("a", "w0", attempts=23, losses=20, error=error)
    assert world.decide() == ["fail a AttemptsExhausted"]
