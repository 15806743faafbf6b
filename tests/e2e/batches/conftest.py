"""Fixtures for tests of ImageBatches: images in the inbox, and a slow describer."""

import random
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from conftest import Kubectl
from faults.faulty import SLOW
from faults.load import draw

from batches.batch import FOLDER, Batches, manifest
from batches.slow_describer import slow_describer

PLAIN, BROKEN, SLOW_OBJECTS = 60, 6, 10
"""Number of images in each folder of the inbox."""

SLOW_LINES = 60
"""Number of images in the list of slow ones. Two at a time, they take six seconds."""

SLOW_DESCRIBER = "sluggish"


@pytest.fixture(scope="package")
def batches(kubectl: Kubectl, api: httpx.Client, photo: Path) -> Iterator[Batches]:
    """Fill the inbox, and yield an object that creates ImageBatches. Delete them afterwards."""
    made = Batches(kubectl, api)
    made.upload(images(photo))
    listed = {f"inbox/{FOLDER}/{name}": data for name, data in other_objects(photo).items()}
    made.objects("none", put=listed)

    yield made

    kubectl("delete", "imagebatches", "--all", "--wait=false")


def images(photo: Path) -> dict[str, bytes]:
    """Return images by name: plain ones, of which one is broken, broken ones, and slow ones."""
    dice = random.Random(0)  # noqa: S311 (the images must only differ)
    cut_off = photo.read_bytes()[: photo.stat().st_size // 4]

    return {
        **{f"plain/{n:02}.jpg": draw((20 + n, 30), dice) for n in range(PLAIN - 1)},
        "plain/broken.jpg": cut_off,
        **{f"broken/{n}.jpg": cut_off for n in range(BROKEN)},
        **{f"slow/{n}.jpg": draw((20, 30), dice, SLOW) for n in range(SLOW_OBJECTS)},
    }


def other_objects(photo: Path) -> dict[str, bytes]:
    """Return objects that POST /inbox does not store, by name: hidden files, and lists."""
    folder = f"inbox/{FOLDER}"
    slow = [
        {"customId": f"s{n}", "key": f"{folder}/slow/{n % SLOW_OBJECTS}.jpg"}
        for n in range(SLOW_LINES)
    ]
    few = [{"customId": f"f{n}", "key": f"{folder}/plain/0{n}.jpg"} for n in range(4)]
    odd = [
        {"customId": "good", "key": f"{folder}/plain/00.jpg"},
        {"customId": "twice", "key": f"{folder}/plain/01.jpg"},
        {"customId": "twice", "key": f"{folder}/plain/02.jpg"},
        {"customId": "outside", "key": "images/of-another-user"},
        {"customId": "above", "key": f"{folder}/../../images/of-another-user"},
        {"customId": "missing", "key": f"{folder}/plain/no-such-image.jpg"},
        {"customId": "changed", "key": f"{folder}/plain/03.jpg", "etag": '"0123456789abcdef"'},
    ]

    return {
        "plain/.hidden.jpg": photo.read_bytes(),
        "plain/.trash/00.jpg": photo.read_bytes(),
        "slow.jsonl": manifest(slow),
        "few.jsonl": manifest(few),
        "odd.jsonl": manifest(odd) + b"no JSON\n",
    }


@pytest.fixture(scope="package")
def sluggish(kubectl: Kubectl) -> Iterator[str]:
    """Create a Describer with one worker that describes two images at a time. Yield its name."""
    with slow_describer(kubectl, SLOW_DESCRIBER, concurrency=2) as name:
        yield name
