"""Which changes a client of GET /events wants."""

from dataclasses import dataclass

from ...watch.change_log import Change
from ...web.problems import Problem


@dataclass(frozen=True, slots=True)
class EventFilter:
    """Conditions on changes, all of which must hold. Empty ones hold for all changes."""

    phase: str | None = None
    batch: str | None = None
    describer: str | None = None
    labels: tuple[tuple[str, str], ...] = ()

    def wants(self, change: Change) -> bool:
        """Return whether a client wants a change.

        A deletion has no phase. If nothing but the name is known of a deleted object, it might be
        one that the client knows.
        """
        if self.batch is not None and change.key != ("batch", self.batch):
            return False
        if self.phase is not None and not change.is_deleted and change.phase != self.phase:
            return False
        if change.labels is None:
            return True

        labels = change.labels
        is_described = self.describer is None or change.describer == self.describer
        return is_described and all(labels.get(name) == it for name, it in self.labels)


def read_labels(texts: list[str]) -> tuple[tuple[str, str], ...]:
    """Return the labels in texts such as `team=web`.

    Raises:
        Problem: 422 InvalidRequest.
    """
    pairs = [text.partition("=") for text in texts]
    if all(name and equals for name, equals, _ in pairs):
        return tuple((name, value) for name, _, value in pairs)

    raise Problem(422, "InvalidRequest", "label must have the form key=value, such as team=web.")
