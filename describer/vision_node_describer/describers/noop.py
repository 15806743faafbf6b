"""A describer that ignores the image, for measuring the overhead of dispatching."""

from vision_node_contract.models.description import Description, Options

from .interface import Describer

_DESCRIPTION = Description(
    description="Image Description:\n- Content: not examined",
    alt="An image that was not examined",
    caption="This image was not examined.",
)


class Noop(Describer):
    """Returns the same description for every file, even for one that is not an image."""

    def describe(self, image: bytes, options: Options) -> Description:  # noqa: ARG002
        """Return the constant description."""
        return _DESCRIPTION
