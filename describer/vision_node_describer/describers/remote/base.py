"""Base classes for describers that call a provider: timeouts, rate limits, validated options."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Self, TypeVar
from urllib.parse import urlsplit

from pydantic import BaseModel, ConfigDict, ValidationError
from pydantic.alias_generators import to_camel
from vision_node_contract.models.description import Options
from vision_node_contract.models.reasons import DescribeError, Reason

from ..interface import Remote, Setup, attempt_seconds
from .rate_limit_gate import RateLimitGate
from .upload import Bounds, Upload, preparation_bytes, prepare_upload

T = TypeVar("T")

_PROVIDER_SHARE = 0.8
"""Fraction of an attempt's time that may be spent waiting for the rate limit and the provider's
answer. The rest is for fetching the image, decoding it and storing the result."""

_WAIT_SHARE = 0.5
"""Fraction of the provider's time that may be spent waiting for the rate limit. If a request
started later, the provider would have too little time to answer."""


class ProviderOptions(BaseModel):
    """Base class for the `options` of a Describer; each describer adds its own fields."""

    model_config = ConfigDict(
        extra="forbid", frozen=True, alias_generator=to_camel, populate_by_name=True
    )

    @classmethod
    def from_setup(cls, setup: Setup) -> Self:
        """Return the validated options.

        Raises:
            DescribeError: OptionsInvalid; the message lists each invalid field.
        """
        try:
            return cls.model_validate(dict(setup.options))
        except ValidationError as error:
            problems = "; ".join(
                f"{'.'.join(map(str, e['loc']))}: {e['msg']}" for e in error.errors()
            )
            message = f"the Describer's options are invalid: {problems}"
            raise DescribeError(Reason.OPTIONS_INVALID, message) from error


def host_of(url: str, name: str) -> str:
    """Return the host name in the web address `url`.

    Args:
        url: The address.
        name: Name of the setting that contains the address, for the error message.

    Raises:
        DescribeError: OptionsInvalid if `url` is not a web address.
    """
    try:
        parts = urlsplit(url)
        _ = parts.port  # raises ValueError if the port is not a number
    except ValueError:
        parts = urlsplit("")

    if parts.scheme not in ("http", "https") or not parts.hostname:
        message = f"{name} is not an address such as http://ollama.default.svc:11434/v1"
        raise DescribeError(Reason.OPTIONS_INVALID, message)

    return parts.hostname


class ProviderDescriber(Remote[Upload]):
    """Base class for describers that send every request through `_call_provider`.

    A describer never retries a failed request, because the operator retries the ImageJob.
    """

    _bounds: Bounds
    """Maximum size of a picture to send. Each subclass sets it."""

    def __init__(self, setup: Setup) -> None:
        self._timeout_seconds = setup.timeout_seconds
        self._rate_limit = RateLimitGate()

    def memory(self, image: bytes) -> int:
        """Return the maximum memory that decoding and scaling take, in bytes."""
        return preparation_bytes(image, self._bounds)

    def prepare(self, image: bytes, options: Options) -> Upload:  # noqa: ARG002
        """Return the picture to send."""
        return prepare_upload(image, self._bounds)

    @property
    def _provider_seconds(self) -> float:
        """Maximum number of seconds to wait for the rate limit and the answer."""
        return (attempt_seconds.get() or self._timeout_seconds) * _PROVIDER_SHARE

    async def _call_provider(self, request: Callable[[float], Awaitable[T]]) -> T:
        """Call `request` with its timeout in seconds, and return its result.

        Raises:
            DescribeError: Any error that `request` raises; RateLimited if the rate limit would
                delay the request too long, in which case nothing is sent; ProviderUnavailable if
                the request times out.
        """
        loop = asyncio.get_running_loop()
        seconds = self._provider_seconds
        deadline = loop.time() + seconds
        await self._rate_limit.wait(seconds * _WAIT_SHARE)
        remaining = deadline - loop.time()

        try:
            async with asyncio.timeout(remaining):
                return await request(remaining)
        except TimeoutError as error:
            message = f"the provider did not answer within {remaining:.0f} s"
            raise DescribeError(Reason.PROVIDER_UNAVAILABLE, message) from error
        except DescribeError as error:
            if error.reason is Reason.RATE_LIMITED or error.retry_after is not None:
                self._rate_limit.block(error.retry_after)
            raise
