"""Fixtures that run a fake server with OpenAI's protocol."""

from collections.abc import Iterator

import pytest
from fakes.openai import FakeOpenAI
from fakes.serving import served


@pytest.fixture(scope="module")
def server() -> Iterator[tuple[FakeOpenAI, str]]:
    """Run the fake server, and yield the server and its address."""
    fake = FakeOpenAI()
    with served(fake.app) as url:
        yield fake, url


@pytest.fixture
def fake(server: tuple[FakeOpenAI, str]) -> FakeOpenAI:
    """Return the fake server after clearing its faults and its recorded requests."""
    fake, _ = server
    fake.next.clear()
    fake.requests.clear()
    fake.always = "none"
    return fake


@pytest.fixture
def url(server: tuple[FakeOpenAI, str]) -> str:
    """Return the fake server's address as a value for OPENAI_BASE_URL."""
    return f"{server[1]}/v1"
