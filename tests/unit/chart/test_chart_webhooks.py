"""Tests of webhooks: what API and archiver are told, the Secret, and the network."""

from ipaddress import ip_address, ip_network
from typing import Any

import pytest
from chart import POLICIES, Object, containers, of_kind, pod, rendered, run, template
from vision_node_api.settings import Settings as ApiSettings
from vision_node_contract.callbacks.addresses import is_reachable
from vision_node_contract.callbacks.urls import CallbackRules
from vision_node_operator.archiver.settings import WebhookSettings

CLIENTS = ("vision-node-api", "vision-node-archiver")
NETWORKS = {"allowedNetworks": ["10.20.0.0/16", "fd00:1::/32"], "allowHTTP": True, "maxHours": 5}


def set_env(objects: list[Object], name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Set the plain environment variables of a pod."""
    (container,) = containers(pod(objects, name))
    for variable in container["env"]:
        if "value" in variable:
            monkeypatch.setenv(variable["name"], variable["value"])
    monkeypatch.setenv("POD_NAMESPACE", "ns")


@pytest.mark.parametrize(
    ("webhooks", "rules", "hours"),
    [
        ({}, CallbackRules(), 72),
        (
            NETWORKS,
            CallbackRules((ip_network("10.20.0.0/16"), ip_network("fd00:1::/32")), allow_http=True),
            5,
        ),
    ],
)
def test_api_and_archiver_have_the_same_rules(
    webhooks: Any, rules: CallbackRules, hours: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    objects = template({"webhooks": webhooks})
    set_env(objects, "vision-node-api", monkeypatch)
    assert ApiSettings.from_env().callbacks == rules

    set_env(objects, "vision-node-archiver", monkeypatch)
    found = WebhookSettings.from_env()
    assert found is not None
    assert found.rules == rules
    assert found.max_age.total_seconds() == hours * 3600

    manifest = pod(objects, "vision-node-archiver")
    (volume,) = [it for it in manifest["spec"]["volumes"] if it["name"] == "webhook-secret"]
    assert volume["secret"] == {"secretName": "vision-node-webhooks", "optional": True}
    mount = {"name": "webhook-secret", "mountPath": found.folder, "readOnly": True}
    assert mount in containers(manifest)[0]["volumeMounts"]


@pytest.mark.parametrize(
    "values", [{"webhooks": {"enabled": False}}, {"database": {"enabled": False}}]
)
def test_release_without_webhooks_has_nothing_of_them(values: Any) -> None:
    objects = template({**values, "networkPolicies": {"enabled": True}})
    assert "WEBHOOK" not in str(objects)
    assert "webhook" not in str([pod(objects, name) for name in CLIENTS])
    assert to_internet(objects, "vision-node-archiver") == []


def to_internet(objects: list[Object], name: str) -> list[Object]:
    """Return the rules of a policy about networks."""
    egress = of_kind(objects, "NetworkPolicy")[name]["spec"]["egress"]
    return [it for it in egress if any("ipBlock" in peer for peer in it.get("to", []))]


def test_only_the_archiver_reads_the_secret() -> None:
    objects = rendered("default")
    holders = {
        it["metadata"]["name"]
        for it in objects
        if "vision-node-webhooks" in str(it) and it["kind"] != "Role"
    }
    assert holders == {"vision-node-archiver", "vision-node-release-setup"}
    assert "whsec_" not in str(objects)


@pytest.mark.parametrize(
    ("address", "is_open"),
    [
        ("8.8.8.8", True),
        ("10.20.3.4", True),
        ("10.21.3.4", False),
        ("169.254.169.254", False),
        ("168.63.129.16", False),
        ("127.0.0.1", False),
        ("192.168.1.1", False),
        ("2606:4700::1111", True),
        ("fd00:1::1", True),
        ("fd00:ec2::254", False),
        ("2002:7f00:1::", False),
        ("::1", False),
    ],
)
def test_archiver_reaches_the_internet_and_allowed_networks(address: str, is_open: object) -> None:
    values = {"networkPolicies": {"enabled": True}, "webhooks": NETWORKS}
    (rule,) = to_internet(template(values), "vision-node-archiver")
    blocks = [it["ipBlock"] for it in rule["to"]]
    found = ip_address(address)
    reached = any(
        found in ip_network(it["cidr"])
        and not any(found in ip_network(net) for net in it.get("except", []))
        for it in blocks
    )
    assert reached is is_open
    allowed = [ip_network(it) for it in ("10.20.0.0/16", "fd00:1::/32")]
    assert is_reachable(found, allowed) is is_open


@pytest.mark.parametrize(
    "webhooks",
    [
        {"allowedNetworks": ["10.0.0.1"]},
        {"allowedNetworks": ["example.com"]},
        {"maxHours": 0},
        {"maxHours": 10_000},
        {"allowHttp": True},
    ],
)
def test_wrong_values_are_refused(webhooks: Any) -> None:
    completed = run("template", "vision-node", "charts/vision-node", values={"webhooks": webhooks})
    assert completed.returncode != 0
    assert "webhooks" in completed.stderr


CALLBACKS = "vision-node.vision-node-callbacks"


@pytest.mark.parametrize(
    "values", [{"webhooks": {"enabled": False}}, {"database": {"enabled": False}}]
)
def test_users_of_kubectl_are_warned_if_nothing_is_sent(values: Any) -> None:
    policy, binding = (of_kind(template(values), kind)[CALLBACKS] for kind in POLICIES)
    assert binding["spec"] == {"policyName": CALLBACKS, "validationActions": ["Warn"]}
    (rule,) = policy["spec"]["matchConstraints"]["resourceRules"]
    assert (rule["resources"], rule["operations"]) == (["imagejobs", "imagebatches"], ["CREATE"])
    assert policy["spec"]["failurePolicy"] == "Ignore", "a warning must not stop anyone"
    (validation,) = policy["spec"]["validations"]
    assert validation["message"].startswith("CallbacksNotAvailable: ")


@pytest.mark.parametrize(
    "values", [{}, {"webhooks": {"enabled": False}, "admissionPolicies": {"enabled": False}}]
)
def test_no_one_is_warned_otherwise(values: Any) -> None:
    assert CALLBACKS not in of_kind(template(values), POLICIES[0])
