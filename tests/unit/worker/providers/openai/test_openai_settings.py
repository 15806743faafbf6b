"""Tests of the openai describer's settings: keys, address, model and options."""

import logging

import pytest
from fakes.openai import KEY, FakeOpenAI
from openai_client import PICTURE, describe_error, openai_describer
from pydantic import JsonValue
from vision_node_contract.models.description import Options
from vision_node_contract.models.reasons import DescribeError, Reason
from vision_node_describer.describers import Setup, load


async def test_rejected_openai_key_is_not_quoted(fake: FakeOpenAI, url: str) -> None:
    error = await describe_error(url, key="sk-wrong-but-secret-things", api="responses")
    assert error.reason is Reason.CREDENTIALS_REFUSED
    assert "sk-" not in error.message


async def test_error_names_the_unknown_model(fake: FakeOpenAI, url: str) -> None:
    error = await describe_error(url, model="gpt-3-blind")
    assert error.reason is Reason.MODEL_NOT_FOUND
    assert "no model gpt-3-blind" in error.message


async def test_key_appears_in_no_error_log_or_repr(
    fake: FakeOpenAI, url: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    fake.next.extend(["quotes_key", "none"])
    async with openai_describer(url) as describer:
        with pytest.raises(DescribeError) as caught:
            await describer.describe(PICTURE, Options())
        await describer.describe(PICTURE, Options())
        shown = [repr(describer), str(caught.value), caught.value.message, caplog.text]

    shown.append(repr(Setup(environment={"OPENAI_API_KEY": KEY})))

    assert KEY not in "".join(shown)
    assert "could not be forwarded" in caught.value.message


@pytest.mark.parametrize("environment", [{}, {"OPENAI_API_KEY": " "}])
def test_openais_own_server_requires_a_key(environment: dict[str, str]) -> None:
    with pytest.raises(DescribeError, match="OPENAI_API_KEY is not set") as caught:
        load("openai", Setup(environment=environment))
    assert caught.value.reason is Reason.CREDENTIALS_MISSING


async def test_other_servers_can_be_called_without_a_key(fake: FakeOpenAI, url: str) -> None:
    error = await describe_error(url, key="")
    assert error.reason is Reason.CREDENTIALS_REFUSED  # the fake server requires a key
    # The Chat Completions API is the default for servers other than OpenAI's own.
    assert fake.requests[0]["path"] == "/v1/chat/completions"


@pytest.mark.parametrize("key", ["sk-secret\nkey", "sk-secret…key"])
def test_malformed_key_is_rejected_and_not_quoted(key: str) -> None:
    with pytest.raises(DescribeError) as caught:
        load("openai", Setup(environment={"OPENAI_API_KEY": key}))
    assert caught.value.reason is Reason.CREDENTIALS_REFUSED
    assert "secret" not in caught.value.message
    assert "sk-" not in caught.value.message


@pytest.mark.parametrize("url", ["ollama:11434", "ftp://x/", "http://", "http://[::1/v1"])
def test_invalid_base_url_is_rejected(url: str) -> None:
    with pytest.raises(DescribeError, match="OPENAI_BASE_URL") as caught:
        load("openai", Setup(environment={"OPENAI_BASE_URL": url}))
    assert caught.value.reason is Reason.OPTIONS_INVALID


def test_error_names_all_invalid_options() -> None:
    options: dict[str, JsonValue] = {"api": "soap", "maxOutputTokens": 1, "temperature": 2}
    with pytest.raises(DescribeError) as caught:
        load("openai", Setup(options=options, environment={"OPENAI_API_KEY": KEY}))
    assert caught.value.reason is Reason.OPTIONS_INVALID
    assert all(name in caught.value.message for name in options)


async def test_announced_retirement_becomes_a_warning(
    fake: FakeOpenAI, url: str, caplog: pytest.LogCaptureFixture
) -> None:
    async with openai_describer(url) as describer:
        await describer.describe(PICTURE, Options())
        # The published retirement dates apply only to OpenAI's own server.
        assert describer.warnings() == []
        fake.always = "deprecated"
        for _ in range(2):
            await describer.describe(PICTURE, Options())
        (warning,) = describer.warnings()

    assert "gpt-4o-mini will be shut down on 2027-01-14" in warning
    assert caplog.messages.count(warning) == 1


@pytest.mark.parametrize(
    ("model", "warned"),
    [
        (None, True),
        ("gpt-4o-mini-2024-07-18", True),
        ("gpt-4o-mini-tts", False),
        ("gpt-5-mini", False),
    ],
)
def test_published_retirement_becomes_a_warning(model: str | None, warned: bool) -> None:  # noqa: FBT001
    describer = load("openai", Setup(model, environment={"OPENAI_API_KEY": KEY}))
    assert ["2027-01-14" in warning for warning in describer.warnings()] == [True] * warned
