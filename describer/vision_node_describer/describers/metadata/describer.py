"""Describes what can be measured: size, format, colours, light. Needs no model, network or key."""

from vision_node_contract.models.description import Description, Options

from ..imaging.picture import decoding_bytes
from ..interface import Describer
from .facts import read_facts, to_json
from .phrasing import alt_text, caption, describe_in_lines, tags


class Metadata(Describer):
    """Says in words what the file and its pixels tell. The same file gives the same words."""

    def memory(self, image: bytes) -> int:
        """Return what decoding takes at most, in bytes."""
        return decoding_bytes(image)

    def describe(self, image: bytes, options: Options) -> Description:
        """Describe one image file, in English whatever `options.language` asks for.

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
