"""`helm upgrade --reuse-values` from an older chart: Helm then passes only that chart's defaults."""

import json
import shutil
import tarfile
from pathlib import Path
from typing import Any

import pytest
import yaml
from chart import CHART, Object, Values, containers, of_kind, pod, run, template

OLD_CHART = Path("tests/e2e/data/chart-9e9dc05.tgz")


@pytest.fixture(scope="module")
def chart(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The new chart with the older chart's defaults, as Helm renders it then."""
    made = tmp_path_factory.mktemp("reused") / "chart"
    shutil.copytree(CHART, made)
    with tarfile.open(OLD_CHART) as archive:
        old = archive.extractfile("vision-node/values.yaml")
        assert old
        made.joinpath("values.yaml").write_bytes(old.read())
    return made


def reused(chart: Path, values: Values, program: str = "helm") -> list[Object]:
    done = run(
        "template", "vision-node", str(chart), "-n", "vision-node", values=values, program=program
    )
    assert done.returncode == 0, done.stderr
    return [document for document in yaml.safe_load_all(done.stdout) if document]


MINE: dict[str, Values] = {
    "nothing": {},
    "switched off": {"admissionPolicies": {"enabled": False}, "crds": {"keep": False}},
    "without limits": {
        "api": {"resources": {"limits": None}},
        "podSecurityContext": {"runAsUser": None, "runAsGroup": None, "fsGroup": None},
    },
    "placed": {
        "api": {"pod": {"nodeSelector": {"disk": "ssd"}}},
        "networkPolicies": {"enabled": True},
    },
}


@pytest.mark.parametrize("name", MINE)
def test_what_is_new_has_its_default(chart: Path, name: str) -> None:
    assert images_aside(reused(chart, MINE[name])) == images_aside(template(MINE[name]))


def images_aside(objects: list[Object]) -> list[str]:
    """Return the objects as text, without images and hashes of them, which are the older chart's."""
    for _ in ("minio", "storage-setup"):
        objects = [
            o
            for o in objects
            if not ("storage-setup" in o["metadata"]["name"] and o["kind"] == "Job")
        ]

    for kind in ("StatefulSet", "Deployment"):
        for made in of_kind(objects, kind).values():
            made["spec"]["template"]["metadata"].get("annotations", {}).pop(
                "checksum/describers", None
            )
            for container in containers(made["spec"]["template"]):
                container.pop("image")

    return sorted(json.dumps(made, sort_keys=True) for made in objects)


def test_openai_stays_away_until_it_is_enabled(chart: Path) -> None:
    """The older chart looked for a key in the cluster."""
    objects = reused(chart, {"providerSecret": "keys"})
    specs = json.loads(
        of_kind(objects, "ConfigMap")["vision-node-describers"]["data"]["describers.json"]
    )
    assert specs.keys() == {"metadata"}


def test_the_authorities_and_the_proxy_of_workers_become_everybodys(chart: Path) -> None:
    providers: Any = {
        "caBundle": {"configMap": "my-authorities", "key": "bundle.pem"},
        "proxy": {"url": "http://proxy.example.com:3128", "except": [".example.com"]},
    }

    for objects in (reused(chart, {"providers": providers}), template({"providers": providers})):
        for name in ("vision-node-api", "worker-metadata"):
            (container,) = containers(pod(objects, name))
            told = {variable["name"]: variable.get("value") for variable in container["env"]}
            assert told["HTTPS_PROXY"] == "http://proxy.example.com:3128"
            assert told["SSL_CERT_FILE"] == "/etc/vision-node/ca/ca.crt"


def test_the_copy_of_the_values_is_one() -> None:
    """`make format` creates defaults.yaml, because templates can't read values.yaml."""
    assert Path(CHART, "defaults.yaml").read_bytes() == Path(CHART, "values.yaml").read_bytes()
