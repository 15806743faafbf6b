"""What a describer is: the one interface that ours and other people's classes have."""

from abc import ABC, abstractmethod
from collections.abc import Awaitable, Mapping
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Generic, Self, TypeVar

from pydantic import JsonValue, TypeAdapter
from vision_node_contract.models.description import Description, Options
from vision_node_contract.models.reasons import DescribeError, Reason

DEFAULT_TIMEOUT_SECONDS = 60.0
"""As ImageJob's `timeoutSeconds`."""

attempt_seconds: ContextVar[float | None] = ContextVar("attempt_seconds", default=None)
"""Seconds that the attempt under way has in all: its ImageJob's `timeoutSeconds`, or its
Describer's. None outside a worker. `ask` and an asynchronous `describe` may read it; it is not set
in threads."""

T = TypeVar("T")

_VARIABLES = ("MODEL", "DESCRIBER_OPTIONS", "TIMEOUT_SECONDS")
_AN_OBJECT = TypeAdapter(dict[str, JsonValue])


@dataclass(frozen=True, slots=True)
class Setup:
    """What a describer is told when it is made: its Describer's spec, and its environment."""

    model: str | None = None
    options: Mapping[str, JsonValue] = field(default_factory=dict)
    """The Describer's `options`, unchecked: each describer knows its own."""
    timeout_seconds: float = DEFAULT_TIMEOUT_SECONDS
    """Of one attempt, fetching the image included."""
    environment: Mapping[str, str] = field(default_factory=dict, repr=False)
    """Credentials among it: never shown."""

    @classmethod
    def from_env(cls, environment: Mapping[str, str]) -> Self:
        """Read what a worker is told: MODEL, DESCRIBER_OPTIONS (JSON), TIMEOUT_SECONDS.

        Raises:
            DescribeError: OptionsInvalid.
        """
        told = {name: environment.get(name, "").strip() for name in _VARIABLES}
        try:
            options = _AN_OBJECT.validate_json(told["DESCRIBER_OPTIONS"] or "{}")
            timeout = float(told["TIMEOUT_SECONDS"] or DEFAULT_TIMEOUT_SECONDS)
        except ValueError as error:
            message = f"the worker's environment makes no sense: {error}"
            raise DescribeError(Reason.OPTIONS_INVALID, message) from error

        return cls(told["MODEL"] or None, options, timeout, environment)

    def variable(self, name: str) -> str | None:
        """Return an environment variable; a blank one, as `.env` files have, counts as not set."""
        return self.environment.get(name, "").strip() or None


class Describer(ABC):
    """One way of describing. Subclass it and define `describe`; the rest may stay as it is."""

    requests_per_image: int = 1
    """To a provider, as `requestsPerMinute` counts them."""

    def __init__(self, setup: Setup) -> None:  # noqa: B027
        """Get ready to work.

        Raises:
            DescribeError: with what it is told it can never work; the reason says why.
        """

    def memory(self, image: bytes) -> int:  # noqa: ARG002
        """Return the bytes of memory that describing this file may take, as its header says; never raises."""
        return 0

    @abstractmethod
    def describe(self, image: bytes, options: Options) -> Description | Awaitable[Description]:
        """Describe one image file.

        A plain method is called in a thread, in several at once; an `async def` in the event loop,
        which it must not block.

        Raises:
            DescribeError: this image cannot be described; the reason says whether to try again.
        """

    def warnings(self) -> list[str]:
        """Return what somebody should see to, although it works, such as a model that will be shut down."""
        return []

    async def close(self) -> None:  # noqa: B027  # most have nothing to close
        """Give back connections."""


class Remote(Describer, Generic[T]):
    """One that asks somebody else: while it waits, the memory of decoding is others'."""

    @abstractmethod
    def prepare(self, image: bytes, options: Options) -> T:
        """Return what is sent of an image file. Called in a thread, in several at once, within `memory`.

        Raises:
            DescribeError: as `describe`.
        """

    @abstractmethod
    async def ask(self, prepared: T, options: Options) -> Description:
        """Describe what `prepare` returned.

        Raises:
            DescribeError: as `describe`.
        """

    async def describe(self, image: bytes, options: Options) -> Description:
        """Do both, for who has one image; a worker gives each its place."""
        return await self.ask(self.prepare(image, options), options)
