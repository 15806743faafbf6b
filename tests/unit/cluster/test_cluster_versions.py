"""Tests that all files contain the versions that are pinned in cluster/versions.py."""

import re
from pathlib import Path

import pytest

import cluster
from cluster import versions
from cluster.artifacts import official

PARTS = Path(cluster.__file__).parent
REPOSITORY = PARTS.parent


def test_kubernetes_module_has_pinned_version() -> None:
    module = (PARTS / "go/kubernetes/go.mod").read_text()
    assert f"k8s.io/kubernetes {versions.KUBERNETES}\n" in module
    staging = set(re.findall(r"=> k8s\.io/\S+ (\S+)", module))
    assert staging == {versions.KUBERNETES.replace("v1.", "v0.", 1)}


def test_etcd_module_matches_kubeadm_image() -> None:
    module = (PARTS / "go/kubernetes/go.mod").read_text()
    assert f"go.etcd.io/etcd/server/v3 v{versions.ETCD_IMAGE_TAG.split('-')[0]}\n" in module


def test_coredns_module_has_pinned_version() -> None:
    module = (PARTS / "go/coredns/go.mod").read_text()
    assert f"github.com/coredns/coredns {versions.COREDNS}\n" in module


def test_containerd_uses_pinned_pause_image() -> None:
    config = (PARTS / "node/etc/containerd/config.toml").read_text()
    assert f'"registry.k8s.io/pause:{versions.PAUSE_IMAGE_TAG}"' in config


@pytest.mark.parametrize("module", ["kubernetes", "coredns", "minio", "pause"])
def test_oldest_accepted_go_can_build_every_module(module: str) -> None:
    wanted = re.search(r"^go (\d+)\.(\d+)", (PARTS / "go" / module / "go.mod").read_text(), re.M)
    assert wanted
    assert (int(wanted[1]), int(wanted[2])) <= versions.GO_OLDEST


def test_minio_module_has_pinned_version() -> None:
    module = (PARTS / "go/minio/go.mod").read_text()
    assert f"github.com/minio/minio {versions.MINIO}\n" in module


def test_store_image_is_built_with_pinned_go() -> None:
    assert f"ARG GO_IMAGE={versions.GO_IMAGE}\n" in (PARTS / "go/minio/Dockerfile").read_text()


@pytest.mark.parametrize("folder", ["api", "operator", "describer", "tests/bench/celery_system"])
def test_images_are_built_with_pinned_uv(folder: str) -> None:
    assert f"uv=={versions.UV}" in (REPOSITORY / folder / "Dockerfile").read_text()


def test_readme_lists_files_for_a_mirror(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(official, "this_platform", lambda: "linux-amd64")
    text = (PARTS / "README.md").read_text()
    for known in (official.KIND, official.KUBECTL, official.HELM):
        assert known.file in text
    assert official.MIRROR in text
