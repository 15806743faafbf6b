"""Describe an image by its size, format and colors, without a model, a network or a key."""

from vision_node_contract.models.description import Description, Options

from ..imaging.picture import decoding_bytes
from ..interface import Describer
from .facts import read_facts, to_json
from .phrasing import alt_text, caption, describe_in_lines, tags


class Metadata(Describer):
    """Describes a file and its pixels. The same file always gets the same description."""

    def memory(self, image: bytes) -> int:
        """Return the maximum memory for decoding, in bytes."""
        return decoding_bytes(image, is_reduced=True)

    def describe(self, image: bytes, options: Options) -> Description:
        """Describe one image file in English. The option `language` is ignored.

        Raises:
            DescribeError: ImageUnreadable, ImageTooLarge or UnsupportedFormat.
        """
        facts = read_facts(image)
        return Description(
            description=describe_in_lines(facts, options.max_length),
            alt=alt_text(facts),
            caption=caption(facts),
            tags=tags(facts),
            facts=to_json(facts),
        )
