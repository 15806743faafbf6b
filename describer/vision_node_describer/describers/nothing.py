"""A describer that does not look: what remains when it runs is the price of dispatch itself."""

from vision_node_contract.description import Description, Options

_DESCRIPTION = Description(
    description="Image Description:\n- Content: not looked at",
    alt="An image that nobody looked at",
    caption="This image was not looked at.",
)


class Nothing:
    """Answers the same for every image, even for none. For benchmarks."""

    name = "nothing"

    def memory(self, image: bytes) -> int:  # noqa: ARG002
        """Return that it takes none."""
        return 0

    def describe(self, image: bytes, options: Options) -> Description:  # noqa: ARG002
        """Return a constant."""
        return _DESCRIPTION
