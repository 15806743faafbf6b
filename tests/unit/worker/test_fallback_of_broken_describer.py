"""Tests that a describer whose libraries or models don't work is replaced by its fallback."""

import asyncio
import logging
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any

import pytest
from pictures import encoded, halves
from test_attempt import SETTINGS, FakeApi, FakeBucket, FakeDescriber, job, runner_of
from vision_node_contract.models.description import Description, Options
from vision_node_describer.describers import Describer, load_or_explain
from vision_node_describer.describers.fallback import load_fallback
from vision_node_describer.describers.registry import DESCRIBERS

PICTURE = encoded(halves(), "PNG")
WITH_FALLBACK = {"FALLBACK_PROVIDER": "metadata"}
LAST = 3


async def outcome_of(
    describer: Any, attempt: int = 1, options: Mapping[str, str] | None = None
) -> dict[str, Any]:
    """Return the status that an attempt with the fallback `metadata` commits."""
    api = FakeApi()
    assigned = job(attempts=attempt)
    if options:
        spec = assigned.spec.model_copy(update={"options": Options.model_validate(options)})
        assigned = assigned.model_copy(update={"spec": spec})

    settings = replace(SETTINGS, describer="local", fallback="metadata", max_image_bytes=1 << 20)
    with ThreadPoolExecutor(1) as executor:
        fallback = load_fallback(WITH_FALLBACK)
        runner = runner_of(api, FakeBucket(PICTURE), describer, executor, settings, fallback)
        await asyncio.wait_for(runner.attempt(assigned), 30)

    ((_, patch),) = api.patches
    return patch


def assert_described_by_fallback(patch: Mapping[str, Any], reason: str) -> None:
    assert patch["phase"] == "done"
    assert patch["result"]["describer"] == "metadata"
    inline = patch["result"]["inline"]
    assert inline["fallback"] == {"from": "local", "reason": reason}
    assert "- Dimensions: " in inline["description"]


@pytest.fixture
def slim_image(monkeypatch: pytest.MonkeyPatch) -> None:
    """Register a built-in describer that needs a library that is not installed."""
    monkeypatch.setitem(DESCRIBERS, "local", "no_such_module:Local")


@pytest.mark.usefixtures("slim_image")
async def test_fallback_immediately_replaces_a_describer_whose_libraries_are_missing() -> None:
    patch = await outcome_of(load_or_explain("local", {}))
    assert_described_by_fallback(patch, "DescriberNotFound")


@pytest.mark.usefixtures("slim_image")
async def test_image_that_allows_no_fallback_fails_if_the_libraries_are_missing() -> None:
    patch = await outcome_of(load_or_explain("local", {}), options={"fallback": "never"})
    assert (patch["phase"], patch["error"]["reason"]) == ("failed", "DescriberNotFound")
    assert "is not in this container image" in patch["error"]["message"]


async def test_fallback_immediately_replaces_a_describer_that_cannot_be_created() -> None:
    # The constructor of Fraction does not accept a Setup.
    patch = await outcome_of(load_or_explain("fractions:Fraction", {}))
    assert_described_by_fallback(patch, "DescriberFailed")


class Crashing(FakeDescriber):
    """A describer whose model can't run."""

    def describe(self, image: bytes, options: Options) -> Description:
        raise RuntimeError("secret")


class CrashingAtMemory(FakeDescriber):
    """A describer whose `memory` raises an error, although it must not."""

    def memory(self, image: bytes) -> int:
        raise RuntimeError("secret")


@pytest.mark.parametrize("kind", [Crashing, CrashingAtMemory])
async def test_fallback_replaces_a_crashing_describer_on_the_last_attempt(
    kind: type[FakeDescriber], caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.ERROR):
        first = await outcome_of(kind())

    assert first["error"]["reason"] == "DescriberFailed"
    assert first["error"]["message"] == "local: RuntimeError"
    assert "secret" in caplog.text, "only the log shows the exception's text"
    assert_described_by_fallback(await outcome_of(kind(), LAST), "DescriberFailed")


@pytest.mark.parametrize(
    ("provider", "environment", "reason"),
    [
        ("openai", {}, "CredentialsMissing"),
        ("http", {"DESCRIBER_OPTIONS": '{"url": 1}'}, "OptionsInvalid"),
        ("opemai", {}, "DescriberNotFound"),
    ],
)
async def test_fallback_does_not_hide_a_mistake_in_the_configuration(
    provider: str, environment: dict[str, str], reason: str
) -> None:
    describer: Describer = load_or_explain(provider, environment)
    patch = await outcome_of(describer, LAST)
    assert (patch["phase"], patch["error"]["reason"]) == ("failed", reason)
