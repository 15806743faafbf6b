"""Remember which objects could not be deleted, so that they are not tried again too often."""

from datetime import datetime, timedelta

FIRST_RETRY = timedelta(minutes=10)
"""How long to wait before the second attempt. The wait doubles with each further failure."""

LONGEST_RETRY = timedelta(hours=6)
"""Longest wait. Object locks and missing permissions last for days, and each attempt fills the
bucket's log."""

MAX_KEYS = 100_000
"""Maximum number of objects to remember, which take 20 MB. If there are more, the oldest failures
are forgotten, and these objects are tried again sooner."""


class FailedDeletions:
    """The objects whose deletion failed, each with the time of the next attempt.

    Only hashes of the keys are kept, because keys may have a thousand bytes. If two keys have the
    same hash, one of them waits for the other's next attempt, which is harmless.
    """

    def __init__(self) -> None:
        self._retries: dict[int, tuple[datetime, timedelta]] = {}
        """Time of the next attempt and the wait before it, by the hash of the object's key."""

    def __len__(self) -> int:
        return len(self._retries)

    def may_retry(self, key: str, now: datetime) -> bool:
        """Return whether an object may be deleted now. If nothing has failed, it may."""
        retry = self._retries.get(hash(key))
        return retry is None or retry[0] <= now

    def add(self, key: str, now: datetime) -> None:
        """Remember that deleting an object has failed, and wait twice as long as the last time."""
        last = self._retries.pop(hash(key), None)
        wait = min(last[1] * 2, LONGEST_RETRY) if last else FIRST_RETRY
        self._retries[hash(key)] = (now + wait, wait)

        if len(self._retries) > MAX_KEYS:
            del self._retries[next(iter(self._retries))]

    def remove(self, key: str) -> None:
        """Forget the failures of an object that has been deleted."""
        self._retries.pop(hash(key), None)
