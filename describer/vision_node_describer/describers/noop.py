"""A describer that does not look: what remains when it runs is the price of dispatch itself."""

from vision_node_contract.models.description import Description, Options

from .interface import Describer

_DESCRIPTION = Description(
    description="Image Description:\n- Content: not looked at",
    alt="An image that nobody looked at",
    caption="This image was not looked at.",
)


class Noop(Describer):
    """Answers the same for every image, even for none. For benchmarks."""

    def describe(self, image: bytes, options: Options) -> Description:  # noqa: ARG002
        """Return a constant."""
        return _DESCRIPTION
