"""A describer that takes half a minute for some images, and refuses others.

The workers' container runs the text of this file (`python -c`).
"""

import time

from vision_node_contract.models.description import Description, Options
from vision_node_contract.models.reasons import DescribeError, Reason
from vision_node_describer.__main__ import main
from vision_node_describer.describers.metadata import describer

SLOW, SLOW_SECONDS = b"fickle: slow", 30.0
REFUSED = b"fickle: refused"
"""Comment of an image that is described only with the prompt `please`."""


class Fickle(describer.Metadata):
    """Describes images like `metadata`, unless the image's comment says otherwise."""

    def describe(self, image: bytes, options: Options) -> Description:
        """Describe the image."""
        if SLOW in image:
            time.sleep(SLOW_SECONDS)
        if REFUSED in image and options.prompt != "please":
            raise DescribeError(Reason.CONTENT_REFUSED, "the describer was not asked nicely")

        return super().describe(image, options)


describer.Metadata = Fickle  # type: ignore[misc]

if __name__ == "__main__":
    main()
