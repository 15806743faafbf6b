"""Tests of the default describer `local`, and of `metadata` and `ocr`, which use its image."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import pytest
import skimage
from conftest import Kubectl, wait_for
from pictures import encoded
from printed import pages
from test_describers import condition, ready, workers

BUILT_IN = ("local", "metadata", "ocr")

DESCRIBED_SECONDS = 180
"""How long to wait for a description. On a node with two cores, a worker with models may have to
wait until another describer's worker has been idle for a minute."""

CAT = Path(skimage.__file__).parent / "data" / "chelsea.png"

Describe = Callable[..., dict[str, Any]]


@pytest.fixture(scope="module")
def describe(api: httpx.Client, submit: Callable[..., str]) -> Describe:
    """Return a function that submits an image and returns the result of its job."""

    def run(data: bytes, **fields: str | None) -> dict[str, Any]:
        job_id = submit(data, **fields)
        status = wait_for(
            lambda: api.get(f"/status/{job_id}").json(),
            lambda found: found["status"] in {"done", "failed"},
            DESCRIBED_SECONDS,
        )
        assert status["status"] == "done", status
        result: dict[str, Any] = api.get(f"/result/{job_id}").json()
        return result

    return run


@pytest.fixture(scope="module")
def cat(describe: Describe) -> dict[str, Any]:
    """Submit a photograph of a cat without naming a describer, and return the result."""
    return describe(CAT.read_bytes(), describer=None)


def printed_lines() -> tuple[bytes, list[str]]:
    """Return a picture of four printed lines, and the words in them."""
    page = pages("Roboto")[0]
    return encoded(page.picture, "PNG"), page.words


def test_describers_without_a_key_exist_and_are_ready(api: httpx.Client, kubectl: Kubectl) -> None:
    listed = {found["name"]: found for found in api.get("/describers").json()["describers"]}
    defaults = {name: listed[name]["default"] for name in BUILT_IN}
    assert defaults == {"local": True, "metadata": False, "ocr": False}
    assert listed["local"]["fallback"] == "metadata"
    for name in BUILT_IN:
        wait_for(
            lambda name=name: ready(kubectl, name),  # type: ignore[misc]
            lambda found: found.get("status") == "True",
        )

    fallback = condition(kubectl, "local", "FallbackReady")
    assert (fallback["status"], fallback["reason"]) == ("True", "FallbackAvailable")


def test_default_describer_describes_what_a_photograph_shows(cat: dict[str, Any]) -> None:
    assert (cat["describer"], cat["_generated_by"]) == ("local", "vision-node-gpt")
    assert cat["fallback"] is None
    assert cat["language"] == "en"
    assert cat["description"].startswith("Image Description:")
    assert "cat" in cat["caption"]
    assert "cat" in cat["tags"]
    assert "cat" in cat["alt"]
    assert len(cat["alt"]) <= 150


def test_default_describer_reports_objects_labels_and_facts_about_the_file(
    cat: dict[str, Any], describe: Describe
) -> None:
    facts = cat["facts"]
    assert facts["pictureKind"] == "photograph"

    (found,) = [each for each in facts["objects"] if each["name"] == "cat"]
    assert (found["count"], len(found["boxes"])) == (1, 1)
    for left, top, width, height in found["boxes"]:
        assert 0 <= left < left + width <= 1
        assert 0 <= top < top + height <= 1

    confidences = [label["confidence"] for label in facts["labels"]]
    assert confidences == sorted(confidences, reverse=True)
    assert "cat" in {label["name"] for label in facts["labels"]}

    metadata = describe(CAT.read_bytes(), describer="metadata")
    assert metadata["describer"] == "metadata"
    assert metadata["facts"].items() <= facts.items()
    assert "- Dimensions: 451x300 pixels" in cat["description"]


def test_photograph_in_the_documentation_is_described(describe: Describe) -> None:
    result = describe(Path("docs/photo.jpg").read_bytes(), describer=None)
    assert (result["describer"], result["fallback"]) == ("local", None)
    assert result["facts"].get("labels") or result["facts"].get("objects")


@pytest.mark.parametrize("describer", [None, "ocr"])
def test_printed_text_is_read(describe: Describe, describer: str | None) -> None:
    image, words = printed_lines()
    result = describe(image, describer=describer)
    assert result["describer"] == (describer or "local")
    read = result["text"].split()
    assert len(set(words) & set(read)) > 0.9 * len(set(words))
    assert "objects" not in result["facts"]


def test_option_text_determines_whether_local_reads_text(describe: Describe) -> None:
    image, words = printed_lines()
    assert describe(image, describer="local", text="false")["text"] == ""
    assert words[0] in describe(image, describer="local", text="true")["text"]


def test_three_describers_use_the_same_container_image(
    kubectl: Kubectl, cat: dict[str, Any], describe: Describe
) -> None:
    """The image with the models can also run `metadata`, so `metadata` can be the fallback."""
    describe(CAT.read_bytes(), describer="metadata")
    images = {
        job["spec"]["template"]["spec"]["containers"][0]["image"]
        for name in ("local", "metadata")
        for job in workers(kubectl, name)
    }
    assert cat["describer"] == "local"
    assert len(images) == 1
