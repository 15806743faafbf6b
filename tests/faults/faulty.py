"""A describer for the fault tests that fails if an image's comment names a fault.

It describes all other images as `metadata` does. The workers' container runs the text of this file
(`python -c`), so no container image has to contain it.
"""

import ctypes
import threading
import time

from vision_node_contract.models.description import Description, Options
from vision_node_describer.__main__ import main
from vision_node_describer.describers.metadata import describer

EXHAUST_MEMORY, CRASH, HANG = b"fault: exhaust memory", b"fault: crash", b"fault: hang"

SLOW, SLOW_SECONDS = b"fault: slow", 0.2
"""Comment of images that take longer, so that faults occur while thousands are being described, and
how much longer, in seconds."""

CHUNK_BYTES = 16 << 20


class Faulty(describer.Metadata):
    """Describes images like `metadata`, unless the image's comment names a fault."""

    def describe(self, image: bytes, options: Options) -> Description:
        """Describe the image. If its comment names a fault, crash, hang, or the like."""
        if CRASH in image:
            # Cause a segmentation fault. A signal would have no effect, because a container's first
            # process ignores signals that it sends to itself.
            ctypes.string_at(0)

        if HANG in image:
            threading.Event().wait()

        if SLOW in image:
            time.sleep(SLOW_SECONDS)

        allocated = []
        while EXHAUST_MEMORY in image:
            # Fill the chunk, because the kernel allocates only memory that was written to.
            allocated.append(b"x" * CHUNK_BYTES)

        return super().describe(image, options)


describer.Metadata = Faulty  # type: ignore[misc]

if __name__ == "__main__":
    main()
