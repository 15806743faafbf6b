"""Tests of `helm upgrade --reuse-values` from an older chart.

With this option, Helm uses the older chart's defaults instead of the new chart's.
"""

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
    """Return the folder of the new chart with the older chart's defaults, as in such an upgrade."""
    manifest = tmp_path_factory.mktemp("reused") / "chart"
    shutil.copytree(CHART, manifest)
    with tarfile.open(OLD_CHART) as archive:
        old = archive.extractfile("vision-node/values.yaml")
        assert old
        manifest.joinpath("values.yaml").write_bytes(old.read())
    return manifest


def render_with_old_defaults(chart: Path, values: Values, program: str = "helm") -> list[Object]:
    completed = run(
        "template", "vision-node", str(chart), "-n", "vision-node", values=values, program=program
    )
    assert completed.returncode == 0, completed.stderr
    return [document for document in yaml.safe_load_all(completed.stdout) if document]


USER_VALUES: dict[str, Values] = {
    "nothing": {},
    "switched off": {"admissionPolicies": {"enabled": False}, "crds": {"keep": False}},
    "without limits": {
        "api": {"resources": {"limits": None}},
        "podSecurityContext": {"runAsUser": None, "runAsGroup": None, "fsGroup": None},
    },
    "closed": {"auth": {"enabled": True, "kubernetes": {"enabled": True}}},
    "placed": {
        "api": {"pod": {"nodeSelector": {"disk": "ssd"}}},
        "networkPolicies": {"enabled": True},
    },
}


@pytest.mark.parametrize("name", USER_VALUES)
def test_missing_new_values_get_their_defaults(chart: Path, name: str) -> None:
    assert without_images(render_with_old_defaults(chart, USER_VALUES[name])) == without_images(
        template(USER_VALUES[name])
    )


def without_images(objects: list[Object]) -> list[str]:
    """Return the objects as JSON, without images and hashes, which differ between the charts."""
    objects = [
        o for o in objects if not ("storage-setup" in o["metadata"]["name"] and o["kind"] == "Job")
    ]

    for kind in ("StatefulSet", "Deployment"):
        for manifest in of_kind(objects, kind).values():
            manifest["spec"]["template"]["metadata"].get("annotations", {}).pop(
                "checksum/describers", None
            )
            for container in containers(manifest["spec"]["template"]):
                container.pop("image")

    return sorted(json.dumps(manifest, sort_keys=True) for manifest in objects)


def test_openai_describer_is_not_created_unless_enabled(chart: Path) -> None:
    """The older chart enabled this describer if it found an API key in the cluster."""
    objects = render_with_old_defaults(chart, {"providerSecret": "keys"})
    specs = json.loads(
        of_kind(objects, "ConfigMap")["vision-node-describers"]["data"]["describers.json"]
    )
    assert specs.keys() == {"local", "metadata", "ocr"}


OWN_OCR = {"image": "registry.example.com/ocr:1", "timeoutSeconds": 300}


@pytest.mark.parametrize(
    ("values", "default", "described_by"),
    [
        ({"defaultDescriber": ""}, "local", {"local", "metadata", "ocr"}),
        ({"defaultDescriber": "metadata"}, "metadata", {"local", "metadata", "ocr"}),
        (
            {"images": {"describer": "registry.example.com/describer:1"}},
            "local",
            {"local", "metadata", "ocr"},
        ),
        ({"describers": {"local": {"enabled": False}}}, "metadata", {"metadata"}),
        ({"describers": {"ocr": OWN_OCR}}, "metadata", {"metadata", "ocr"}),
    ],
)
def test_release_of_an_older_chart_gets_the_new_describers_and_default(
    chart: Path, values: Values, default: str, described_by: set[str]
) -> None:
    objects = render_with_old_defaults(chart, values)
    specs = json.loads(
        of_kind(objects, "ConfigMap")["vision-node-describers"]["data"]["describers.json"]
    )
    assert specs.keys() == described_by
    assert specs.get("ocr", {}).items() >= values.get("describers", {}).get("ocr", {}).items()

    (container,) = containers(pod(objects, "vision-node-api"))
    assert {"name": "DEFAULT_DESCRIBER", "value": default} in container["env"]


def test_deprecated_ca_bundle_and_proxy_apply_to_all_components(chart: Path) -> None:
    providers: Any = {
        "caBundle": {"configMap": "my-authorities", "key": "bundle.pem"},
        "proxy": {"url": "http://proxy.example.com:3128", "except": [".example.com"]},
    }

    for objects in (
        render_with_old_defaults(chart, {"providers": providers}),
        template({"providers": providers}),
    ):
        for name in ("vision-node-api", "worker-local", "worker-metadata"):
            (container,) = containers(pod(objects, name))
            env = {variable["name"]: variable.get("value") for variable in container["env"]}
            assert env["HTTPS_PROXY"] == "http://proxy.example.com:3128"
            assert env["SSL_CERT_FILE"] == "/etc/vision-node/ca/ca.crt"


def test_defaults_yaml_is_a_copy_of_values_yaml() -> None:
    """`make format` creates the copy, because Helm templates can't read values.yaml."""
    assert Path(CHART, "defaults.yaml").read_bytes() == Path(CHART, "values.yaml").read_bytes()
