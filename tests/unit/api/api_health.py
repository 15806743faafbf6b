"""How the API's tests say what it depends on: a bucket and an API server that answer or do not."""

from typing import Any

from vision_node_api.services.health import DependencyChecks, Health
from vision_node_api.services.jobs import Jobs
from vision_node_api.watch.follower import WatchFollower

PATHS = ("/apis/vision-node.dev/v1alpha1/namespaces/ns/imagejobs", "/api/describers")


class Dependency:
    """Answers checks, or fails as it is told."""

    def __init__(self) -> None:
        self.fails: Exception | None = None
        self.asked = 0

    async def check(self) -> None:
        self.asked += 1
        if self.fails:
            raise self.fails


def health_of(
    jobs: Jobs, storage: Dependency | None = None, kubernetes: Dependency | None = None
) -> Health:
    """Return the health of a replica that has listed everything."""
    storage, kubernetes = storage or Dependency(), kubernetes or Dependency()
    checks = DependencyChecks(jobs.storage, storage.check, kubernetes.check)
    nothing: Any = None
    watches = tuple(WatchFollower(nothing, path, nothing) for path in PATHS)
    for watch in watches:
        watch.listed = True
    return Health(checks, watches)
