"""What a describer is: the one interface that ours and other people's classes have."""

from collections.abc import Awaitable, Mapping
from dataclasses import dataclass, field
from typing import Protocol

from pydantic import JsonValue
from vision_node_contract.description import Description, Options


@dataclass(frozen=True, slots=True)
class Setup:
    """What a describer is told when it is made: its Describer's spec, and its environment."""

    model: str | None = None
    options: Mapping[str, JsonValue] = field(default_factory=dict)
    """The Describer's `options`, unchecked: each describer knows its own."""
    timeout_seconds: float = 60.0
    """Of one attempt, fetching the image included."""
    requests_per_minute: float | None = None
    """This worker's share of what the Describer may ask of its provider; None: as many as it can."""
    environment: Mapping[str, str] = field(default_factory=dict, repr=False)
    """Credentials among it: never shown."""

    def variable(self, name: str) -> str | None:
        """Return an environment variable; a blank one, as `.env` files have, counts as not set."""
        return self.environment.get(name, "").strip() or None


class Describer(Protocol):
    """One way of describing. Subclass it and define `describe`; the rest may stay as it is."""

    def __init__(self, setup: Setup) -> None:
        """Get ready to work.

        Raises:
            DescribeError: with what it is told it can never work; the reason says why.
        """

    def memory(self, image: bytes) -> int:  # noqa: ARG002
        """Return the bytes of memory that describing this file may take, as its header says; never raises."""
        return 0

    def describe(self, image: bytes, options: Options) -> Description | Awaitable[Description]:
        """Describe one image file.

        A plain method is called in a thread, in several at once; an `async def` in the event loop, which it
        must not block.

        Raises:
            DescribeError: this image cannot be described; the reason says whether to try again.
        """
        ...

    def warnings(self) -> list[str]:
        """Return what somebody should see to, although it works, such as a model that will be shut down."""
        return []

    async def close(self) -> None:
        """Give back connections."""
