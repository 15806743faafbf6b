"""Fake dependencies whose health checks can be made to fail."""

from typing import cast

from vision_node_api.services.health import DependencyChecks, Health
from vision_node_api.services.jobs import Jobs
from vision_node_api.watch.follower import WatchFollower
from vision_node_contract.clients.kube import Kube

PATHS = ("/apis/vision-node.dev/v1alpha1/namespaces/ns/imagejobs", "/api/describers")


class Dependency:
    """A dependency that counts checks. Each check raises `fails` if it is set."""

    def __init__(self) -> None:
        self.fails: Exception | None = None
        self.checks = 0

    async def check(self) -> None:
        self.checks += 1
        if self.fails:
            raise self.fails


def health_of(
    jobs: Jobs, storage: Dependency | None = None, kubernetes: Dependency | None = None
) -> Health:
    """Return the Health of a replica whose watches have listed all objects."""
    storage, kubernetes = storage or Dependency(), kubernetes or Dependency()
    checks = DependencyChecks(jobs.storage, storage.check, kubernetes.check)
    kube = cast("Kube", None)
    watches = tuple(WatchFollower(kube, path, lambda _: None) for path in PATHS)
    for watch in watches:
        watch.listed = True
    return Health(checks, watches)
