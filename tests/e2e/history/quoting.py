"""A describer that says which words an image and its prompt contain.

The workers' container runs the text of this file (`python -c`).
"""

import re

from vision_node_contract.models.description import Description, Options
from vision_node_describer.__main__ import main
from vision_node_describer.describers.metadata import describer

QUOTE = re.compile(rb"quote:([a-z0-9]+)")
"""Comment of an image that has a word."""

LARGE = b"large result"
"""Comment of an image whose result does not fit into its ImageJob."""

FILLER_CHARACTERS = 20_000


class Quoting(describer.Metadata):
    """Describes images like `metadata`, with the quoted words in caption and text."""

    def describe(self, image: bytes, options: Options) -> Description:
        """Describe the image."""
        found = super().describe(image, options)
        quoted = QUOTE.search(image)
        word = quoted[1].decode() if quoted else "nothing"
        filler = "." * FILLER_CHARACTERS if LARGE in image else ""
        texts = {"caption": f"It says {word}.", "text": f"{options.prompt or ''}{filler}"}

        return found.model_copy(update=texts)


describer.Metadata = Quoting  # type: ignore[misc]

if __name__ == "__main__":
    main()
