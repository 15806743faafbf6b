"""The describer of the fault tests: describes like `metadata`, but a picture's comment can make it fail.

Its text is the command of the workers' container (`python -c`), so no image carries it.
"""

import ctypes
import threading

from vision_node_contract.models.description import Description, Options
from vision_node_describer.__main__ import main
from vision_node_describer.describers.metadata import describer

EXHAUST_MEMORY, CRASH, HANG = b"fault: exhaust memory", b"fault: crash", b"fault: hang"

CHUNK_BYTES = 16 << 20


class Faulty(describer.Metadata):
    """Does what the picture asks for."""

    def describe(self, image: bytes, options: Options) -> Description:
        """Describe it, or never return."""
        if CRASH in image:
            ctypes.string_at(
                0
            )  # the first process of a container ignores signals that it sends itself

        if HANG in image:
            threading.Event().wait()

        taken = []
        while EXHAUST_MEMORY in image:
            taken.append(b"x" * CHUNK_BYTES)  # written, so that it is really taken

        return super().describe(image, options)


describer.Metadata = Faulty  # type: ignore[misc]

if __name__ == "__main__":
    main()
