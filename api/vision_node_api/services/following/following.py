"""Make streams of events for clients."""

from ...watch.change_log import ChangeLog, Key, Position
from ...web.problems import Problem
from ..dependency_problems import kubernetes_problems, kubernetes_unavailable
from .all_stream import AllStream
from .event_filter import EventFilter
from .followers import Followers
from .last_event_id import id_of_kind
from .object_stream import IMAGE_SECONDS, Followed, ObjectStream
from .states import State, States


class Following:
    """Makes streams of events from the watches."""

    def __init__(self, log: ChangeLog, states: States) -> None:
        self.followers = Followers(log)
        self.log = log
        self._states = states

    async def job(self, job_id: str, since: Position | None) -> ObjectStream | None:
        """Return the events of a job, or of an image of a batch.

        Return None if the client already has the last state.

        Raises:
            Problem: as for `Jobs.get` and `BatchImages.find`.
        """
        key: Key = ("job", job_id)
        try:
            return await self._opened(
                Followed(key, lambda: self._states.read(key, ""), *key), since
            )
        except Problem as problem:
            if problem.reason != "JobNotFound" or await self._states.read_image(job_id) is None:
                raise
            missing = problem

        async def read_image() -> State:
            state = await self._states.read_image(job_id)
            if state is None:
                raise missing
            return state

        batch: Key = ("batch", job_id.rpartition(".")[0])
        return await self._opened(Followed(batch, read_image, *key, IMAGE_SECONDS), since)

    async def batch(self, name: str, since: Position | None, root_path: str) -> ObjectStream | None:
        """Return the events of a batch; None if the client already has the last state.

        Raises:
            Problem: as for `Batches.get`.
        """
        key: Key = ("batch", name)
        followed = Followed(key, lambda: self._states.read(key, root_path), *key)
        return await self._opened(followed, since)

    async def all(self, since: Position | None, wanted: EventFilter, root_path: str) -> AllStream:
        """Return the events of all jobs and batches.

        Raises:
            Problem: 503 KubernetesUnavailable.
        """
        if not self._states.are_listed(self.log):
            raise kubernetes_unavailable()

        stream = AllStream(self.log, self.followers, self._states, wanted, root_path)
        if since is not None:
            with kubernetes_problems():
                await stream.resume(since)

        return stream

    async def _opened(self, followed: Followed, since: Position | None) -> ObjectStream | None:
        sent = id_of_kind(since, followed.key[0])
        stream = ObjectStream(self.log, self.followers, followed, sent)
        return stream if await stream.open() else None
