"""The interface of a describer, for the built-in classes and for custom ones."""

from abc import ABC, abstractmethod
from collections.abc import Awaitable, Mapping
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Generic, Self, TypeVar

from pydantic import JsonValue, TypeAdapter
from vision_node_contract.models.description import Description, Options
from vision_node_contract.models.reasons import DescribeError, Reason

DEFAULT_TIMEOUT_SECONDS = 60.0
"""Timeout of an attempt outside a worker: the default of a Describer's `timeoutSeconds`."""

attempt_seconds: ContextVar[float | None] = ContextVar("attempt_seconds", default=None)
"""Timeout of the current attempt in seconds: its ImageJob's `timeoutSeconds`, or else its
Describer's. None outside a worker. `ask` and an asynchronous `describe` may read it; it is not set
in threads."""

T = TypeVar("T")

_VARIABLES = ("MODEL", "DESCRIBER_OPTIONS", "TIMEOUT_SECONDS")
_OPTIONS_ADAPTER = TypeAdapter(dict[str, JsonValue])


@dataclass(frozen=True, slots=True)
class Setup:
    """A describer's configuration: its Describer's spec, and its environment."""

    model: str | None = None
    options: Mapping[str, JsonValue] = field(default_factory=dict)
    """The Describer's `options`, not validated: each describer validates its own."""
    timeout_seconds: float = DEFAULT_TIMEOUT_SECONDS
    """Timeout of one attempt, including fetching the image."""
    environment: Mapping[str, str] = field(default_factory=dict, repr=False)
    """Environment variables, including credentials: never shown."""

    @classmethod
    def from_env(cls, environment: Mapping[str, str]) -> Self:
        """Read a worker's environment: MODEL, DESCRIBER_OPTIONS (JSON), TIMEOUT_SECONDS.

        Raises:
            DescribeError: OptionsInvalid.
        """
        values = {name: environment.get(name, "").strip() for name in _VARIABLES}

        try:
            options = _OPTIONS_ADAPTER.validate_json(values["DESCRIBER_OPTIONS"] or "{}")
            timeout = float(values["TIMEOUT_SECONDS"] or DEFAULT_TIMEOUT_SECONDS)
        except ValueError as error:
            message = f"the worker's environment is invalid: {error}"
            raise DescribeError(Reason.OPTIONS_INVALID, message) from error

        return cls(values["MODEL"] or None, options, timeout, environment)

    def variable(self, name: str) -> str | None:
        """Return an environment variable; a blank one, as `.env` files have, counts as not set."""
        return self.environment.get(name, "").strip() or None


class Describer(ABC):
    """A way of describing images. Subclass it and define `describe`; the rest is optional."""

    requests_per_image: int = 1
    """Number of requests to a provider for one image, as `requestsPerMinute` counts them."""

    def __init__(self, setup: Setup) -> None:  # noqa: B027
        """Prepare to describe images.

        Raises:
            DescribeError: With this configuration it can never work; the reason says why.
        """

    def memory(self, image: bytes) -> int:  # noqa: ARG002
        """Return how many bytes of memory describing this file may take; never raise."""
        return 0

    @abstractmethod
    def describe(self, image: bytes, options: Options) -> Description | Awaitable[Description]:
        """Describe one image file.

        A plain method is called in threads, several at once. An `async def` is called in the event
        loop, which it must not block.

        Raises:
            DescribeError: The image cannot be described; the reason says whether to try again.
        """

    def warnings(self) -> list[str]:
        """Return problems of a describer that works, such as a model that will be shut down."""
        return []

    async def close(self) -> None:  # noqa: B027  # most have nothing to close
        """Close connections."""


class Remote(Describer, Generic[T]):
    """A describer that asks a provider, and uses no memory for decoding while it waits."""

    @abstractmethod
    def prepare(self, image: bytes, options: Options) -> T:
        """Return what to send for an image file.

        Called in threads, several at once, within `memory`.

        Raises:
            DescribeError: See `describe`.
        """

    @abstractmethod
    async def ask(self, prepared: T, options: Options) -> Description:
        """Describe what `prepare` returned.

        Raises:
            DescribeError: See `describe`.
        """

    async def describe(self, image: bytes, options: Options) -> Description:
        """Call `prepare` and `ask`. A worker calls them separately."""
        return await self.ask(self.prepare(image, options), options)
