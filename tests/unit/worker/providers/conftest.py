"""A server that speaks the protocol of OpenAI, shared by the tests of the describer `openai`."""

from collections.abc import Iterator

import pytest
from fakes.openai import FakeOpenAI
from fakes.serving import served


@pytest.fixture(scope="module")
def server() -> Iterator[tuple[FakeOpenAI, str]]:
    """Serve the fake; yield it and its address."""
    fake = FakeOpenAI()
    with served(fake.app) as url:
        yield fake, url


@pytest.fixture
def fake(server: tuple[FakeOpenAI, str]) -> FakeOpenAI:
    """Return the fake server without faults and recorded requests."""
    fake, _ = server
    fake.next.clear()
    fake.requests.clear()
    fake.always = "none"
    return fake


@pytest.fixture
def url(server: tuple[FakeOpenAI, str]) -> str:
    """Return the address for OPENAI_BASE_URL."""
    return f"{server[1]}/v1"
