"""A custom describer written as a class. It reports whether a picture is light or dark."""

from vision_node_contract.models.description import Description, Options
from vision_node_describer.describers import Describer
from vision_node_describer.describers.imaging.picture import decoding_bytes, read_picture


class Brightness(Describer):
    """Describes a picture's brightness. It has no settings, so it needs no constructor."""

    def memory(self, image: bytes) -> int:
        """Return how many bytes decoding takes. The worker limits its concurrency accordingly."""
        return decoding_bytes(image)

    def describe(self, image: bytes, options: Options) -> Description:  # noqa: ARG002
        """Describe one image file. If it is invalid, read_picture raises a DescribeError."""
        gray = read_picture(image).small.convert("L").resize((1, 1)).getpixel((0, 0))
        light = "light" if isinstance(gray, int) and gray > 127 else "dark"

        return Description(
            description=f"Image Description:\n- Brightness: {light}",
            alt=f"A {light} picture",
            caption=f"A {light} picture.",
            tags=[light],
            facts={"gray": gray if isinstance(gray, int) else None},
        )
