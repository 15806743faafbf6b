"""What describers do that ask somebody else: wait while they must, keep to their time, obey rate limits."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeVar
from urllib.parse import urlsplit

from pydantic import BaseModel, ConfigDict, ValidationError
from pydantic.alias_generators import to_camel
from vision_node_contract.models.reasons import DescribeError, Reason

from ..interface import Remote, Setup, attempt_seconds
from .rate_limit_gate import Gate
from .upload import Upload

T = TypeVar("T")
O = TypeVar("O", bound="ProviderOptions")  # noqa: E741

_SHARE_OF_ATTEMPT = 0.8
"""Of an attempt's time, for waiting and the answer; the rest is for fetching, decoding, storing."""

_PATIENCE = 0.5
"""Of that, for waiting until it may begin: what starts later has too little time for an answer."""


class ProviderOptions(BaseModel):
    """What a Describer's `options` may hold; each describer has its own fields."""

    model_config = ConfigDict(
        extra="forbid", frozen=True, alias_generator=to_camel, populate_by_name=True
    )

    @classmethod
    def of(cls: type[O], setup: Setup) -> O:
        """Return the checked options.

        Raises:
            DescribeError: OptionsInvalid, with each field that is wrong.
        """
        try:
            return cls.model_validate(dict(setup.options))
        except ValidationError as error:
            wrong = "; ".join(f"{'.'.join(map(str, e['loc']))}: {e['msg']}" for e in error.errors())
            raise DescribeError(
                Reason.OPTIONS_INVALID, f"the Describer's options: {wrong}"
            ) from error


def host_of(url: str, name: str) -> str:
    """Return the host of the web address that the setting `name` holds.

    Raises:
        DescribeError: OptionsInvalid: it is no web address.
    """
    try:
        parts = urlsplit(url)
        _ = parts.port  # raises for one that is no number
    except ValueError:
        parts = urlsplit("")

    if parts.scheme not in ("http", "https") or not parts.hostname:
        message = f"{name} is no address such as http://ollama.default.svc:11434/v1"
        raise DescribeError(Reason.OPTIONS_INVALID, message)

    return parts.hostname


class Asking(Remote[Upload]):
    """A describer whose `ask` calls `_asked` for each request. Only the operator tries again."""

    def __init__(self, setup: Setup) -> None:
        self._timeout_seconds = setup.timeout_seconds
        self._gate = Gate()

    @property
    def _seconds(self) -> float:
        """For waiting and the answer: a share of the attempt's time, which its ImageJob may have set."""
        return (attempt_seconds.get() or self._timeout_seconds) * _SHARE_OF_ATTEMPT

    async def _asked(self, request: Callable[[float], Awaitable[T]]) -> T:
        """Return what `request` answers, which is told how many seconds it has.

        Raises:
            DescribeError: what the request raises; RateLimited without a request while it wants
            none;
                ProviderUnavailable when the time is over.
        """
        seconds = self._seconds
        end = asyncio.get_running_loop().time() + seconds
        await self._gate.wait(seconds * _PATIENCE)
        left = end - asyncio.get_running_loop().time()

        try:
            async with asyncio.timeout(left):
                return await request(left)
        except TimeoutError as error:
            message = f"the provider did not answer within {left:.0f} s"
            raise DescribeError(Reason.PROVIDER_UNAVAILABLE, message) from error
        except DescribeError as error:
            if error.reason is Reason.RATE_LIMITED or error.retry_after is not None:
                self._gate.hold(error.retry_after)
            raise
