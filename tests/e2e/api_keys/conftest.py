"""Fixtures for tests of a release that needs API keys."""

import base64
from collections.abc import Iterator

import httpx
import pytest
from conftest import Forwarded, Kubectl
from pytest_kind import KindCluster
from releases import ExtraRelease, Helm, extra_release, helm
from vision_node_contract.json_types import Json

__all__ = ["helm"]  # pytest looks up the fixture in this module

CLOSED: Json = {"auth": {"enabled": True, "kubernetes": {"enabled": True}}}
"""Values with which the API needs a key or a token."""


@pytest.fixture(scope="package")
def closing(helm: Helm, kubectl: Kubectl, kind_cluster: KindCluster) -> Iterator[ExtraRelease]:
    """A release that everyone may use until a test closes it."""
    with extra_release("closed", helm, kubectl, kind_cluster) as created:
        created.install()
        yield created


@pytest.fixture(scope="package")
def closed(closing: ExtraRelease) -> ExtraRelease:
    """The same release, which needs keys now."""
    closing.install(CLOSED)
    return closing


@pytest.fixture(scope="package")
def admin_key(closed: ExtraRelease) -> str:
    """The first key of the release."""
    return base64.b64decode(closed.secret(f"{closed.prefix}-admin-key")["key"]).decode()


@pytest.fixture
def closed_api(closed: ExtraRelease, forwarded: Forwarded) -> Iterator[httpx.Client]:
    """A client of the API without a key."""
    with forwarded(closed.namespace, f"{closed.prefix}-api") as client:
        yield client
