"""Create the deliverer of messages to callbacks."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

from vision_node_contract.clients import outbound
from vision_node_contract.history.database import Database

from ..history.store import HistoryStore
from ..settings import HistorySettings
from .deliverer import Deliverer, HistoryGate
from .deliveries import Deliveries
from .lookups import MAX_LOOKUPS
from .sender import Sender
from .signing import SecretFolder


@contextmanager
def webhooks(
    database: Database, store: HistoryStore, gate: HistoryGate, settings: HistorySettings
) -> Iterator[Deliverer | None]:
    """Yield what sends messages to callbacks; None if the release sends none.

    `store` then adds a message for each job and batch with a callback that it archives.
    """
    found = settings.webhooks
    if found is None:
        yield None
        return

    threads = ThreadPoolExecutor(MAX_LOOKUPS, "resolve")
    sender = Sender(found.rules, outbound.tls(), threads)
    secret = SecretFolder(Path(found.folder))
    deliveries = Deliveries(database)
    deliverer = Deliverer(deliveries, sender, secret, gate, found.max_age, settings.data)
    store.on_announced = deliverer.wake
    try:
        yield deliverer
    finally:
        threads.shutdown(wait=False, cancel_futures=True)
