"""A custom describer as a class: it reports whether a picture is light or dark."""

from vision_node_contract.models.description import Description, Options
from vision_node_describer.describers import Describer
from vision_node_describer.describers.imaging.picture import decoding_bytes, read_picture


class Brightness(Describer):
    """Describes the brightness. It needs no settings, so it has no constructor."""

    def memory(self, image: bytes) -> int:
        """Return the memory for decoding in bytes, which limits concurrent decoding."""
        return decoding_bytes(image)

    def describe(self, image: bytes, options: Options) -> Description:  # noqa: ARG002
        """Describe one image file; read_picture raises the DescribeError for an invalid one."""
        gray = read_picture(image).small.convert("L").resize((1, 1)).getpixel((0, 0))
        light = "light" if isinstance(gray, int) and gray > 127 else "dark"

        return Description(
            description=f"Image Description:\n- Brightness: {light}",
            alt=f"A {light} picture",
            caption=f"A {light} picture.",
            tags=[light],
            facts={"gray": gray if isinstance(gray, int) else None},
        )
