"""Tests of the database: the bundled PostgreSQL, the user's own, or none."""

from typing import Any

import pytest
from chart import Object, containers, of_kind, pod, pods, rendered, template

CLIENTS = ("vision-node-archiver", "vision-node-api")

BUNDLED_URL = "postgresql://vision-node-postgres:5432/vision_node?sslmode=disable"


def env_of(objects: list[Object], name: str) -> dict[str, Object]:
    """Return the environment variables of a pod's only container by name."""
    (container,) = containers(pod(objects, name))
    return {variable["name"]: variable for variable in container["env"]}


def secret(name: str, key: str) -> Object:
    return {"secretKeyRef": {"name": name, "key": key}}


@pytest.mark.parametrize("client", CLIENTS)
@pytest.mark.parametrize(
    ("name", "url", "from_secret"),
    [
        ("default", BUNDLED_URL, "vision-node-database"),
        (
            "external-database",
            "postgresql://db-1.example.com:6432,db-2.example.com/vision?sslmode=verify-full",
            "my-database",
        ),
    ],
)
def test_each_client_has_the_url_and_its_own_role(
    name: str, url: str, from_secret: str, client: str
) -> None:
    env = env_of(rendered(name), client)
    role = client.removeprefix("vision-node-")
    assert env["DATABASE_URL"]["value"] == url
    assert env["PGUSER"]["valueFrom"] == secret(from_secret, f"{role}-username")
    assert env["PGPASSWORD"]["valueFrom"] == secret(from_secret, f"{role}-password")


@pytest.mark.parametrize("client", CLIENTS)
def test_secret_may_have_complete_urls(client: str) -> None:
    env = env_of(rendered("database-urls-in-a-secret"), client)
    role = client.removeprefix("vision-node-")
    assert env["DATABASE_URL"]["valueFrom"] == secret("my-database", f"{role}-url")
    assert not {"PGUSER", "PGPASSWORD"} & env.keys()


def test_only_the_clients_and_the_server_have_the_credentials() -> None:
    holders = {
        name
        for name, manifest in pods(rendered("default"))
        for container in containers(manifest)
        for variable in container.get("env", [])
        if "vision-node-database" in str(variable.get("valueFrom"))
    }
    assert holders == {*CLIENTS, "vision-node-postgres"}


@pytest.mark.parametrize(
    ("values", "role"),
    [
        ({}, "vision_node_api"),
        # The image creates this role, whatever the value is.
        ({"database": {"apiRole": "other"}}, "vision_node_api"),
        ({"database": {"apiRole": "other", "existingSecret": "mine"}}, "other"),
    ],
)
def test_archiver_knows_the_role_of_the_api(values: Any, role: str) -> None:
    env = env_of(template(values), "vision-node-archiver")
    assert env["DATABASE_API_ROLE"]["value"] == role


@pytest.mark.parametrize(
    ("values", "file"),
    [
        ({}, None),
        ({"database": {"url": "postgresql://db/v?sslmode=require"}}, None),
        (
            {"database": {"url": "postgresql://db/v?sslmode=verify-full"}},
            "/etc/ssl/certs/ca-certificates.crt",
        ),
        (
            {
                "database": {"url": "postgresql://db/v?sslmode=verify-full"},
                "caBundle": {"configMap": "mine"},
            },
            "/etc/vision-node/ca/ca.crt",
        ),
    ],
)
def test_certificates_are_verified_with_the_common_bundle(values: Any, file: str | None) -> None:
    database = {"existingSecret": "mine", **values.get("database", {})} if values else {}
    objects = template({**values, "database": database})
    for client in CLIENTS:
        assert env_of(objects, client).get("PGSSLROOTCERT", {}).get("value") == file


@pytest.mark.parametrize(
    "name", ["external-database", "database-urls-in-a-secret", "no-database", "nothing-bundled"]
)
def test_bundled_postgres_is_absent(name: str) -> None:
    objects = rendered(name)
    assert [o["kind"] for o in objects if o["metadata"]["name"] == "vision-node-postgres"] == []


def test_bundled_postgres_has_its_passwords_and_its_volume() -> None:
    objects = rendered("default")
    env = env_of(objects, "vision-node-postgres")
    for role in ("ARCHIVER", "API"):
        key = f"{role.lower()}-password"
        found = env[f"VISION_NODE_{role}_PASSWORD"]["valueFrom"]
        assert found == secret("vision-node-database", key)

    limit = {"resourceFieldRef": {"resource": "limits.memory", "divisor": "1Mi"}}
    assert env["MEMORY_LIMIT_MI"]["valueFrom"] == limit

    (container,) = containers(pod(objects, "vision-node-postgres"))
    mounts = {it["name"]: it["mountPath"] for it in container["volumeMounts"]}
    assert mounts["data"] == "/data"
    (claim,) = of_kind(objects, "StatefulSet")["vision-node-postgres"]["spec"][
        "volumeClaimTemplates"
    ]
    assert claim["spec"]["resources"] == {"requests": {"storage": "10Gi"}}


def test_existing_claim_replaces_the_volume_of_postgres() -> None:
    objects = rendered("bundled-store-with-my-own-keys-and-claim")
    spec = of_kind(objects, "StatefulSet")["vision-node-postgres"]["spec"]
    volume = {"name": "data", "persistentVolumeClaim": {"claimName": "my-claim"}}
    assert "volumeClaimTemplates" not in spec
    assert volume in spec["template"]["spec"]["volumes"]


def test_changed_revision_of_the_database_secret_replaces_all_pods_that_read_it() -> None:
    first, second = (
        dict(pods(template({"database": {"secretRevision": revision}}))) for revision in "12"
    )
    changed = {name for name in first if first[name] != second.get(name)}
    assert changed == {*CLIENTS, "vision-node-postgres"}


def egress_ports(objects: list[Object], component: str) -> list[list[Object]]:
    policy = of_kind(objects, "NetworkPolicy")[f"vision-node-{component}"]
    return [rule["ports"] for rule in policy["spec"]["egress"]]


@pytest.mark.parametrize("component", ["api", "archiver"])
@pytest.mark.parametrize(
    ("name", "ports"),
    [
        ("network-policies", [{"port": 5432}]),
        ("external-database", [{"port": 6432}, {"port": 5432}]),
        ("database-urls-in-a-secret", [{"port": 5432}]),
    ],
)
def test_network_policies_let_the_clients_reach_the_database(
    component: str, name: str, ports: list[Object]
) -> None:
    assert ports in egress_ports(rendered(name), component)


@pytest.mark.parametrize(
    ("name", "components"),
    [
        ("network-policies", ["operator", "worker"]),
        ("no-database", ["api", "archiver", "operator"]),
    ],
)
def test_nobody_else_can_reach_the_database(name: str, components: list[str]) -> None:
    for component in components:
        assert "5432" not in str(
            of_kind(rendered(name), "NetworkPolicy")[f"vision-node-{component}"]
        )


def test_network_policy_of_postgres_accepts_only_its_clients() -> None:
    spec = of_kind(rendered("network-policies"), "NetworkPolicy")["vision-node-postgres"]["spec"]
    ((peer,),) = [rule["from"] for rule in spec["ingress"]]
    (expression,) = peer["podSelector"]["matchExpressions"]
    assert set(expression["values"]) == {"api", "archiver"}
    assert [rule["ports"] for rule in spec["ingress"]] == [[{"port": "postgres"}]]


HISTORY = {
    "limits": {"finishedImageJobs": 7},
    "retention": {"historySeconds": 0, "imageJobSeconds": 60, "imageSeconds": 0, "jobSeconds": 61},
}


@pytest.mark.parametrize(
    ("values", "archiver", "history"),
    [
        ({}, ("2592000", "3600", "2000", ""), "true"),
        (HISTORY, ("0", "60", "7", "0"), "true"),
        ({"retention": {"imageSeconds": 120}}, ("2592000", "3600", "2000", "120"), "true"),
        ({"database": {"enabled": False}}, ("86400", "3600", "2000", ""), "false"),
        ({**HISTORY, "database": {"enabled": False}}, ("61", "60", "7", "0"), "false"),
    ],
)
def test_components_get_the_retention(values: Any, archiver: tuple[str, ...], history: str) -> None:
    objects = template(values)
    env = {name: env_of(objects, f"vision-node-{name}") for name in ("api", "operator", "archiver")}
    names = ("JOB_SECONDS", "IMAGEJOB_SECONDS", "MAX_FINISHED_IMAGEJOBS", "IMAGE_SECONDS")
    assert tuple(env["archiver"][name]["value"] for name in names) == archiver

    for component in ("api", "operator"):
        assert env[component]["JOB_SECONDS"]["value"] == archiver[0]
    for component in ("operator", "archiver"):
        assert env[component]["ARCHIVES_IMAGEJOBS"]["value"] == "true"

    assert env["operator"]["HISTORY"]["value"] == history
    for component in ("api", "archiver"):
        assert ("DATABASE_URL" in env[component]) == (history == "true")
