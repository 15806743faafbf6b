"""The services that routes for images use."""

from dataclasses import dataclass, field

from .download_limit import DownloadLimit
from .stored_images import StoredImage, StoredImages
from .thumbnails import Thumbnails


@dataclass(frozen=True, slots=True)
class Images:
    """Sends images and thumbnails."""

    stored: StoredImages
    thumbnails: Thumbnails = field(default_factory=Thumbnails)
    downloads: DownloadLimit = field(default_factory=DownloadLimit)

    def largest_bytes(self, image: StoredImage) -> int:
        """Return how much memory an image may take at most, in bytes.

        Users state the size of an object in the inbox, and others may replace it.
        """
        limit = self.stored.jobs.settings.max_image_bytes
        size = image.line.size if image.sha256 or image.batch_uid else None
        return min(size or limit, limit)
