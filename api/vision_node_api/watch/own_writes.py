"""Remember what this replica has written, until the watch reports it.

Events that are on their way when a replica writes are older than the write. Without this, a client
that has cancelled or deleted an ImageJob could then see it in its former state.
"""

import sys
import time

from vision_node_contract.json_types import Json

WATCH_LAG_SECONDS = 60.0
"""How long a write is remembered, in seconds. The watch is usually some milliseconds late, and a
lost connection is noticed within 55 s."""

MAX_WRITES = 10_000
"""Maximum number of writes to remember. They take 3 MB. The oldest ones are forgotten first."""


class OwnWrites:
    """The newest write of each ImageJob, by its uid, from the oldest to the newest write."""

    def __init__(self) -> None:
        self._versions: dict[str, tuple[int, float]] = {}
        """The resourceVersion, and the monotonic time until which it is remembered."""

    def changed(self, body: Json) -> bool:
        """Remember an ImageJob as it was changed; return whether it is the newest known state."""
        meta = body["metadata"]
        return self._remember(meta["uid"], int(meta["resourceVersion"]))

    def deleted(self, body: Json) -> None:
        """Remember that an ImageJob was deleted."""
        self._remember(body["metadata"]["uid"], sys.maxsize)

    def is_outdated(self, body: Json) -> bool:
        """Return whether a body is older than what this replica has written."""
        if not self._versions:  # as nearly always
            return False

        meta = body["metadata"]
        version, until = self._versions.get(meta.get("uid", ""), (0, 0.0))
        return time.monotonic() < until and int(meta.get("resourceVersion", "0")) < version

    def _remember(self, uid: str, version: int) -> bool:
        now = time.monotonic()
        self._drop(now)
        if version < self._versions.get(uid, (0, 0.0))[0]:
            return False

        self._versions.pop(uid, None)
        self._versions[uid] = (version, now + WATCH_LAG_SECONDS)
        return True

    def _drop(self, now: float) -> None:
        """Forget writes that the watch must have reported, and those that are too many."""
        while self._versions:
            oldest = next(iter(self._versions))
            if self._versions[oldest][1] > now and len(self._versions) < MAX_WRITES:
                return
            del self._versions[oldest]
