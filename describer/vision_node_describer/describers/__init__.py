"""Ways of describing an image: pure functions that know neither Kubernetes nor storage."""

from importlib import import_module
from typing import Protocol

from vision_node_contract.description import Description, Options
from vision_node_contract.reasons import DescribeError, Reason


class Describer(Protocol):
    """One way of describing. Safe to call from several threads at once."""

    name: str

    def memory(self, image: bytes) -> int:
        """Return the bytes of memory that describing this file may take, as its header says; never raises."""
        ...

    def describe(self, image: bytes, options: Options) -> Description:
        """Describe one image file.

        Raises:
            DescribeError: this image cannot be described; the reason says whether to try again.
        """
        ...


DESCRIBERS: dict[str, str] = {
    "metadata": "Metadata",
    "nothing": "Nothing",
}
"""Class by name; each lives in the module of that name. Imported on demand, so that a worker
carries no other describer's libraries in its memory."""


def load(name: str) -> Describer:
    """Return a describer that is ready to work.

    Raises:
        DescribeError: DescriberNotFound.
    """
    if name not in DESCRIBERS:
        known = ", ".join(sorted(DESCRIBERS))
        message = f"there is no describer called {name!r}; choose one of: {known}"
        raise DescribeError(Reason.DESCRIBER_NOT_FOUND, message)
    module = import_module(f"{__name__}.{name}")
    describer: Describer = getattr(module, DESCRIBERS[name])()
    return describer
