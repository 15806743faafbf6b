"""Tests of the proxy, the CA bundle, the Ingress and the NetworkPolicies that the chart renders."""

from dataclasses import replace
from typing import Any

import pytest
from chart import CHART, S3_CLIENTS, VALUES, containers, of_kind, pod, pods, rendered, run, template
from vision_node_api.web.http_settings import HttpSettings


def test_all_components_use_the_ca_bundle_and_the_proxy() -> None:
    objects = rendered("private-network")
    for name in S3_CLIENTS:
        manifest = pod(objects, name)
        (container,) = containers(manifest)
        variables = {v["name"]: v.get("value") for v in container["env"]}
        for variable in ("SSL_CERT_FILE", "REQUESTS_CA_BUNDLE", "AWS_CA_BUNDLE"):
            assert variables[variable] == "/etc/vision-node/ca/ca.crt"

        assert (
            variables["HTTPS_PROXY"] == variables["HTTP_PROXY"] == "http://proxy.example.com:3128"
        )

        inside = [
            "localhost",
            "127.0.0.1",
            "::1",
            ".svc",
            ".cluster.local",
            "$(KUBERNETES_SERVICE_HOST)",
        ]
        assert variables["NO_PROXY"].split(",") == [*inside, "vision-node-minio", ".example.com"]

        (volume,) = [v for v in manifest["spec"]["volumes"] if v["name"] == "ca-bundle"]
        items = [{"key": "bundle.pem", "path": "ca.crt"}]
        assert volume["configMap"] == {"name": "my-authorities", "items": items}

        mount = {"name": "ca-bundle", "mountPath": "/etc/vision-node/ca", "readOnly": True}
        assert mount in container["volumeMounts"]

    policy = of_kind(objects, "NetworkPolicy")["vision-node-worker"]["spec"]["egress"]
    assert policy[-1] == {
        "to": [{"ipBlock": {"cidr": cidr}} for cidr in ("10.0.0.0/8", "fd00::/8")]
    }


def test_network_policies_allow_the_configured_api_server_and_dns_ports() -> None:
    policies = of_kind(rendered("private-network"), "NetworkPolicy")
    for component in ("api", "operator", "archiver", "release-setup"):
        assert {"ports": [{"port": 443}, {"port": 16443}]} in policies[f"vision-node-{component}"][
            "spec"
        ]["egress"]
    dns = [{"port": 1053, "protocol": protocol} for protocol in ("UDP", "TCP")]
    assert policies["vision-node-default"]["spec"]["egress"] == [{"ports": dns}]


@pytest.mark.parametrize(
    ("url", "port"),
    [
        ("http://proxy.example.com:3128", 3128),
        ("http://me:secret@proxy.example.com:3128/", 3128),
        ("http://proxy.example.com", 80),
        ("https://proxy.example.com/", 443),
        ("http://[fd00::1]:8080", 8080),
    ],
)
def test_network_policies_allow_the_proxy_port(url: str, port: int) -> None:
    objects = template({"networkPolicies": {"enabled": True}, "proxy": {"url": url}})
    for component in ("api", "operator", "archiver"):
        policy = of_kind(objects, "NetworkPolicy")[f"vision-node-{component}"]
        assert {"ports": [{"port": port}]} in policy["spec"]["egress"]


def test_ingress_has_class_host_and_tls() -> None:
    ingress = of_kind(rendered("ingress"), "Ingress")["vision-node-api"]
    assert ingress["spec"]["ingressClassName"] == "nginx"
    assert ingress["spec"]["rules"][0]["host"] == "images.example.com"
    assert ingress["spec"]["tls"] == [{"secretName": "images-tls", "hosts": ["images.example.com"]}]


@pytest.mark.parametrize(
    ("api", "path"),
    [
        ({}, "/"),
        ({"rootPath": "/apps/vision"}, "/apps/vision"),
        ({"ingress": {"path": "/images"}}, "/images"),
        ({"rootPath": "/apps/vision", "ingress": {"path": "/"}}, "/"),
    ],
)
def test_ingress_path_defaults_to_the_root_path(api: Any, path: str) -> None:
    ingress = {"enabled": True, "host": "example.com", **api.get("ingress", {})}
    found = of_kind(template({"api": {**api, "ingress": ingress}}), "Ingress")["vision-node-api"]
    (rule,) = found["spec"]["rules"]
    assert [(item["path"], item["pathType"]) for item in rule["http"]["paths"]] == [
        (path, "Prefix")
    ]


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("default", HttpSettings()),
        (
            "below-a-path",
            HttpSettings(
                root_path="/apps/vision",
                cors_origins=("https://gallery.example.com", "http://localhost:5173"),
                keep_alive_seconds=400,
            ),
        ),
    ],
)
def test_values_determine_the_api_http_settings(
    name: str, expected: HttpSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    (api,) = containers(pod(rendered(name), "vision-node-api"))
    for variable in api["env"]:
        if "value" in variable:
            monkeypatch.setenv(variable["name"], variable["value"])

    env = HttpSettings.from_env()
    assert replace(env, trusted_proxies=expected.trusted_proxies) == expected

    trusted = 2 if name == "below-a-path" else 0
    assert env.trusted_proxies.count_trusted(["192.0.2.1", "fd00::1", "10.0.0.1"]) == trusted


def test_notes_show_the_url_with_the_root_path() -> None:
    completed = run(
        "install", "vision-node", CHART, "--dry-run=client", values=VALUES["below-a-path"]
    )
    assert "curl -F file=@photo.jpg https://example.com/apps/vision/submit" in completed.stdout


def test_network_policy_lets_every_client_reach_the_bundled_minio() -> None:
    policy = of_kind(rendered("network-policies"), "NetworkPolicy")["vision-node-minio"]
    ((peer,),) = [rule["from"] for rule in policy["spec"]["ingress"]]
    (expression,) = peer["podSelector"]["matchExpressions"]
    clients = {"api", "operator", "archiver", "worker", "storage-setup"}
    assert set(expression["values"]) == clients


def test_network_policies_select_every_pod() -> None:
    """The default policy allows only DNS, so every pod needs a policy of its own."""
    for name in ("network-policies", "network-policies-external-s3"):
        objects = rendered(name)
        policies = of_kind(objects, "NetworkPolicy").values()
        component = "app.kubernetes.io/component"
        named = {p["spec"]["podSelector"]["matchLabels"].get(component) for p in policies} - {None}
        running = {
            manifest["metadata"]["labels"].get(component, "worker") for _, manifest in pods(objects)
        }

        assert named == running

    storage = of_kind(objects, "NetworkPolicy")["vision-node-api"]["spec"]["egress"][-1]
    assert storage == {"ports": [{"port": 80}]}
