"""Tests of the pod template of a Describer's workers."""

from typing import Any

from world import POOL, SPEC, TEMPLATE, pool_of


def test_describers_settings_are_added_to_the_pod_template() -> None:
    env = [{"name": "MODE", "value": "fast"}, {"name": "KEPT", "value": "yes"}]
    ours = {"name": "worker", "image": "ours", "env": [{"name": "MODE", "value": "slow"}]}
    key = {"name": "KEY", "valueFrom": {"secretKeyRef": {"name": "keys", "key": "openai"}}}
    spec = {
        "provider": "openai",
        "model": "gpt-x",
        "options": {"detail": "high"},
        "image": "theirs",
        "command": ["run"],
        "env": [*env, key],
        "envFrom": [{"secretRef": {"name": "more"}}],
        "resources": {"limits": {"memory": "2Gi", "cpu": 2}},
        "podAnnotations": {"a": "b"},
        "nodeSelector": {"disk": "ssd"},
        "tolerations": [{"key": "gpu", "operator": "Exists"}],
    }
    base = {"spec": {"containers": [ours]}}
    made = pool_of({"metadata": {"name": "mine"}, "spec": spec}, base).pod_template
    (container,) = made["spec"]["containers"]
    variables = {variable["name"]: variable for variable in container["env"]}
    assert variables["MODE"] == {"name": "MODE", "value": "fast"}
    assert variables["KEY"] == key
    values = [
        variables[name]["value"] for name in ("DESCRIBER", "PROVIDER", "MODEL", "DESCRIBER_OPTIONS")
    ]
    assert values == ["mine", "openai", "gpt-x", '{"detail": "high"}']
    assert (container["image"], container["command"]) == ("theirs", ["run"])
    assert container["resources"]["limits"] == {"memory": "2Gi", "cpu": 2}
    assert container["envFrom"] == [{"secretRef": {"name": "more"}}]
    assert made["metadata"]["annotations"] == {"a": "b"}
    assert made["spec"]["nodeSelector"] == {"disk": "ssd"}
    assert made["spec"]["tolerations"] == [{"key": "gpu", "operator": "Exists"}]
    assert ours["image"] == "ours", "the base template must not change"


def test_template_hash_changes_only_with_the_pod_template() -> None:
    def template_hash(**spec: Any) -> str:
        return pool_of(
            {"metadata": {"name": "metadata"}, "spec": {**SPEC, **spec}}, TEMPLATE
        ).template_hash

    same = {"minWorkers": 1, "maxWorkers": 9, "idleSeconds": 5}
    assert template_hash(**same) == POOL.template_hash
    others: Any = {"model": "m", "options": {"a": 1}, "concurrency": 3, "isolation": "dedicated"}
    others |= {"timeoutSeconds": 5, "maxAttempts": 1}
    assert (
        len(
            {template_hash(**{name: value}) for name, value in others.items()}
            | {POOL.template_hash}
        )
        == 7
    )
