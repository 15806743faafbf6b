"""The describer of the fault tests: like `metadata`, but the comment of an image can make it fail.

This file's text is the command of the workers' container (`python -c`), so no container image
contains it.
"""

import ctypes
import threading

from vision_node_contract.models.description import Description, Options
from vision_node_describer.__main__ import main
from vision_node_describer.describers.metadata import describer

EXHAUST_MEMORY, CRASH, HANG = b"fault: exhaust memory", b"fault: crash", b"fault: hang"

CHUNK_BYTES = 16 << 20


class Faulty(describer.Metadata):
    """Describes images like `metadata`, unless the image's comment names a fault."""

    def describe(self, image: bytes, options: Options) -> Description:
        """Return the description, or crash, hang or exhaust the memory."""
        if CRASH in image:
            # A segmentation fault: the first process of a container ignores signals from itself.
            ctypes.string_at(0)

        if HANG in image:
            threading.Event().wait()

        allocated = []
        while EXHAUST_MEMORY in image:
            allocated.append(
                b"x" * CHUNK_BYTES
            )  # written to, so that the kernel really allocates it

        return super().describe(image, options)


describer.Metadata = Faulty  # type: ignore[misc]

if __name__ == "__main__":
    main()
