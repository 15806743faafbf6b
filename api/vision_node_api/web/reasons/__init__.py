"""The register of all reasons that the API answers with.

Each reason has one entry, which problem documents, GET /problems and docs/errors.md use. Add a new
one to the module of its topic, and run `make format`, which updates docs/errors.md.
"""

from .access import ACCESS
from .acting import ACTING
from .batches import BATCHES
from .callbacks import CALLBACKS
from .dependencies import DEPENDENCIES
from .describing import DESCRIBING
from .entry import Place, ReasonEntry
from .files import FILES
from .following import FOLLOWING
from .images import IMAGES
from .inbox import INBOX
from .jobs import JOBS
from .limits import LIMITS
from .requests import REQUESTS
from .uploads import UPLOADS

TOPICS: dict[str, tuple[ReasonEntry, ...]] = {
    "Requests": REQUESTS,
    "Keys and access": ACCESS,
    "Limits of owners": LIMITS,
    "Uploads": UPLOADS,
    "Jobs and results": JOBS,
    "Images of jobs": IMAGES,
    "Cancelling, retrying and deleting jobs": ACTING,
    "Following jobs and batches": FOLLOWING,
    "Batches": BATCHES,
    "Files of a batch": FILES,
    "Callbacks": CALLBACKS,
    "Inbox": INBOX,
    "Describing an image": DESCRIBING,
    "Storage, Kubernetes and database": DEPENDENCIES,
}
"""All entries, by topic, in the order of docs/errors.md."""

REGISTER: dict[str, ReasonEntry] = {
    entry.reason: entry for entries in TOPICS.values() for entry in entries
}
"""All entries, by reason."""

__all__ = ["REGISTER", "TOPICS", "Place", "ReasonEntry"]
