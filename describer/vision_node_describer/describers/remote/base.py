"""Base class of describers that call a provider: timeouts, rate limits and checked options."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Self, TypeVar
from urllib.parse import urlsplit

from pydantic import BaseModel, ConfigDict, ValidationError
from pydantic.alias_generators import to_camel
from vision_node_contract.models.reasons import DescribeError, Reason

from ..interface import Remote, Setup, attempt_seconds
from .rate_limit_gate import RateLimitGate
from .upload import Upload

T = TypeVar("T")

_PROVIDER_SHARE = 0.8
"""Share of an attempt's time for the rate limit and the provider's answer. The rest is for fetching
the image, decoding it and storing the result."""

_WAIT_SHARE = 0.5
"""Share of the provider's time that a request may wait for the rate limit. A request that starts
later has too little time left for its answer."""


class ProviderOptions(BaseModel):
    """Base class for the `options` of a Describer; each describer adds its own fields."""

    model_config = ConfigDict(
        extra="forbid", frozen=True, alias_generator=to_camel, populate_by_name=True
    )

    @classmethod
    def from_setup(cls, setup: Setup) -> Self:
        """Return the checked options.

        Raises:
            DescribeError: OptionsInvalid, with each field that is wrong.
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
    """Return the host of the web address in the setting `name`.

    Raises:
        DescribeError: OptionsInvalid if it is not a web address.
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
    """Base class whose subclasses send every request through `_call_provider`.

    It never retries: only the operator does.
    """

    def __init__(self, setup: Setup) -> None:
        self._timeout_seconds = setup.timeout_seconds
        self._rate_limit = RateLimitGate()

    @property
    def _provider_seconds(self) -> float:
        """Return the seconds for the rate limit and the answer; an ImageJob's own timeout wins."""
        return (attempt_seconds.get() or self._timeout_seconds) * _PROVIDER_SHARE

    async def _call_provider(self, request: Callable[[float], Awaitable[T]]) -> T:
        """Return the result of `request`, which receives its timeout in seconds.

        Raises:
            DescribeError: What the request raises; RateLimited, without a request, while the rate
                limit blocks requests for too long; ProviderUnavailable when the time is over.
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
