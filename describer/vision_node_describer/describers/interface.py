"""The interface of all describers, built-in and custom."""

from abc import ABC, abstractmethod
from collections.abc import Awaitable, Mapping
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Generic, Self, TypeVar

from pydantic import JsonValue, TypeAdapter
from vision_node_contract.models.description import Description, Options
from vision_node_contract.models.reasons import DescribeError, Reason

DEFAULT_TIMEOUT_SECONDS = 60.0
"""Timeout of an attempt outside a worker, in seconds. It equals the default of a Describer's
`timeoutSeconds`."""

attempt_seconds: ContextVar[float | None] = ContextVar("attempt_seconds", default=None)
"""Timeout of the current attempt in seconds. This is the ImageJob's `timeoutSeconds`, or the
Describer's if the ImageJob has none; outside a worker, it is None. `ask` and an asynchronous
`describe` may read this variable. It is not set in threads."""

T = TypeVar("T")

_VARIABLES = ("MODEL", "DESCRIBER_OPTIONS", "TIMEOUT_SECONDS")
_OPTIONS_ADAPTER = TypeAdapter(dict[str, JsonValue])


@dataclass(frozen=True, slots=True)
class Setup:
    """A describer's configuration, from the Describer's spec and the environment."""

    model: str | None = None
    options: Mapping[str, JsonValue] = field(default_factory=dict)
    """The Describer's `options`. They are not validated yet, because each describer validates its
    own options."""
    timeout_seconds: float = DEFAULT_TIMEOUT_SECONDS
    """Timeout of one attempt, including the time for fetching the image."""
    environment: Mapping[str, str] = field(default_factory=dict, repr=False)
    """Environment variables. They include credentials, so they are never shown."""

    @classmethod
    def from_env(cls, environment: Mapping[str, str]) -> Self:
        """Read MODEL, DESCRIBER_OPTIONS (JSON) and TIMEOUT_SECONDS from a worker's environment.

        Raises:
            DescribeError: OptionsInvalid, if a value is invalid.
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
        """Return the value of an environment variable; None if it is missing or blank.

        `.env` files often contain blank variables.
        """
        return self.environment.get(name, "").strip() or None


class DescriberBrokenError(DescribeError):
    """A describer's own code, libraries or models do not work in this worker.

    This is neither a configuration mistake nor an error that a provider reported.

    Args:
        reason: Machine-readable reason.
        message: Human-readable explanation.
        may_pass: Whether another attempt may succeed; False if the describer could not be loaded.
    """

    def __init__(self, reason: Reason, message: str, *, may_pass: bool) -> None:
        super().__init__(reason, message)
        self.may_pass = may_pass


class Describer(ABC):
    """Base class of describers. A subclass must define `describe`; other methods are optional."""

    shared_memory: int = 0
    """Memory in bytes that the describer takes once, however many images it describes concurrently,
    for example for models. A worker uses it for nothing else."""

    requests_per_image: int = 1
    """Number of requests per image that count toward the provider's `requestsPerMinute`."""

    def __init__(self, setup: Setup) -> None:  # noqa: B027
        """Prepare to describe images.

        Raises:
            DescribeError: The describer can never work with this configuration. The error's
                reason says why.
        """

    def memory(self, image: bytes) -> int:  # noqa: ARG002
        """Return the maximum memory needed to describe this file, in bytes. Must not raise."""
        return 0

    @abstractmethod
    def describe(self, image: bytes, options: Options) -> Description | Awaitable[Description]:
        """Describe one image file.

        A plain method is called in several threads concurrently. An `async def` method is called in
        the event loop, which it must not block.

        Raises:
            DescribeError: The image cannot be described; the reason determines whether to retry.
        """

    def warnings(self) -> list[str]:
        """Return warnings about problems that don't stop the describer from working.

        For example, the provider may plan to shut down the model.
        """
        return []

    async def close(self) -> None:  # noqa: B027  # most have nothing to close
        """Close the describer's connections."""


class Remote(Describer, Generic[T]):
    """A describer that calls a provider.

    No memory is reserved for decoding while it waits for the response.
    """

    @abstractmethod
    def prepare(self, image: bytes, options: Options) -> T:
        """Return the content of a request, prepared from an image file.

        This method is called in several threads concurrently. While it runs, the number of bytes
        that `memory` returned is reserved.

        Raises:
            DescribeError: See `describe`.
        """

    @abstractmethod
    async def ask(self, prepared: T, options: Options) -> Description:
        """Ask the provider to describe an image, given the return value of `prepare`.

        Raises:
            DescribeError: See `describe`.
        """

    async def describe(self, image: bytes, options: Options) -> Description:
        """Call `prepare`, then `ask`. A worker calls them separately."""
        return await self.ask(self.prepare(image, options), options)
