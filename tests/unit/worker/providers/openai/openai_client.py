"""Helpers that create openai describers for the fake server and describe pictures with them."""

import base64
import json
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, get_args

import pytest
from fakes.openai import KEY
from pictures import encoded, halves
from vision_node_contract.models.description import Description, Options
from vision_node_contract.models.reasons import DescribeError
from vision_node_describer.describers import Describer, Setup, load
from vision_node_describer.describers.providers.openai.request_body import Api

APIS = get_args(Api)
PICTURE = encoded(halves(), "PNG")


@asynccontextmanager
async def openai_describer(
    url: str, *, key: str = KEY, model: str | None = None, seconds: float = 20, **options: Any
) -> AsyncIterator[Describer]:
    """Yield a describer for the server at `url`, configured with the Describer's `options`."""
    environment = {"OPENAI_API_KEY": key, "OPENAI_BASE_URL": url}
    describer = load(
        "openai", Setup(model, options, timeout_seconds=seconds, environment=environment)
    )

    try:
        yield describer
    finally:
        await describer.close()


async def describe(
    url: str,
    image: bytes = PICTURE,
    job_options: dict[str, Any] | None = None,
    **describer_args: Any,
) -> Description:
    """Return the description of one picture."""
    async with openai_describer(url, **describer_args) as describer:
        description = await describer.describe(image, Options.model_validate(job_options or {}))
        assert isinstance(description, Description)
        return description


async def describe_error(url: str, **describer_args: Any) -> DescribeError:
    """Return the error of a call that must fail. Its message must be one short line."""
    with pytest.raises(DescribeError) as caught:
        await describe(url, **describer_args)

    assert "\n" not in caught.value.message
    assert len(caught.value.message) < 600
    return caught.value


def sent_picture(body: dict[str, Any]) -> bytes:
    """Return the only picture in a request's body."""
    (data,) = re.findall(r"data:image/\w+;base64,([\w+/=]+)", json.dumps(body))
    return base64.b64decode(data)
