"""A describer of one's own, as a class: it says how light a picture is."""

from vision_node_contract.models.description import Description, Options
from vision_node_describer.describers import Describer
from vision_node_describer.describers.imaging.picture import decoding_bytes, read_picture


class Brightness(Describer):
    """Needs no settings, so it does without a constructor."""

    def memory(self, image: bytes) -> int:
        """Return what decoding takes, so that huge pictures wait for their turn."""
        return decoding_bytes(image)

    def describe(self, image: bytes, options: Options) -> Description:  # noqa: ARG002
        """Describe one image file; a file that is none raises the right DescribeError by itself."""
        grey = read_picture(image).small.convert("L").resize((1, 1)).getpixel((0, 0))
        light = "light" if isinstance(grey, int) and grey > 127 else "dark"
        return Description(
            description=f"Image Description:\n- Brightness: {light}",
            alt=f"A {light} picture",
            caption=f"A {light} picture.",
            tags=[light],
            facts={"grey": grey if isinstance(grey, int) else None},
        )
