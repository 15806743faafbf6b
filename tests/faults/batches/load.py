"""Plan the ImageBatches of a run: their images, their harmful images, and when they are created.

The seed determines all of them.
"""

import json
import random
from collections.abc import Iterator
from dataclasses import dataclass, field

from vision_node_contract.json_types import Json

from faults.batches.history import ExpectedLine, Planned
from faults.batches.provider import answer_text
from faults.faulty import CRASH, EXHAUST_MEMORY, HANG, SLOW
from faults.load import DESCRIBER, draw

PAID_DESCRIBER = "paid"
FOLDER_DESCRIBER = "metadata"

FAULTY_IMAGES, PAID_IMAGES, FOLDER_IMAGES = 2200, 2200, 600
"""Number of images of each ImageBatch; together 5,000."""

OBJECTS = 50
"""Number of good objects in the inbox that the lines of the manifests name again and again."""

LATER_SECONDS = (20.0, 60.0)
"""Earliest and latest time at which the third ImageBatch is created, amid the faults."""

HARMFUL: tuple[tuple[str, bytes, frozenset[str]], ...] = (
    ("memory", EXHAUST_MEMORY, frozenset({"OutOfMemory"})),
    ("crash", CRASH, frozenset({"DescriberFailed"})),
    ("hang", HANG, frozenset({"AttemptTimedOut"})),
)
"""Harmful objects: name, comment, and the reason with which their images must fail."""

HARMFUL_EACH = 2
"""Number of lines of the faulty ImageBatch that name each harmful object."""


@dataclass(frozen=True, slots=True)
class Batch:
    """An ImageBatch to create."""

    planned: Planned
    spec: Json
    at: float = 0.0
    """Time in seconds from the start of the run."""


@dataclass(frozen=True, slots=True)
class Campaign:
    """The ImageBatches of a run, and what must be in the inbox before."""

    folder: str
    """Folder in the inbox, as in a name for POST /inbox/<name>."""
    batches: list[Batch] = field(default_factory=list)
    images: dict[str, bytes] = field(default_factory=dict)
    """Image files by name in the inbox."""
    manifests: dict[str, bytes] = field(default_factory=dict)
    """Lists of images by name in the inbox."""


def campaign(seed: int, run: str) -> Campaign:
    """Return the ImageBatches of the run with this seed. `run` distinguishes it from other runs."""
    dice = random.Random(seed)  # noqa: S311 (runs must be repeatable)
    made = Campaign(f"faults-{run}")
    _add_faulty(made, dice)
    _add_paid(made, dice)
    _add_folder(made, dice)
    return made


def _add_faulty(made: Campaign, dice: random.Random) -> None:
    """Add an ImageBatch with harmful images, whose good images are slow."""
    good = dict(_good_objects(made, "slow", OBJECTS, dice, SLOW))
    names = list(good)
    lines = [
        (f"slow-{index:04}", names[index % OBJECTS], good[names[index % OBJECTS]])
        for index in range(FAULTY_IMAGES - HARMFUL_EACH * len(HARMFUL))
    ]

    for kind, comment, reasons in HARMFUL:
        name = f"{made.folder}/objects/{kind}.jpg"
        made.images[name] = draw((64, 48), dice, comment)
        for number in range(HARMFUL_EACH):
            line = (f"{kind}-{number}", name, ExpectedLine(reasons=reasons))
            lines.insert(dice.randrange(len(lines)), line)

    planned = Planned(f"{made.folder}-faulty", {custom_id: it for custom_id, _, it in lines})
    listed = [{"customId": custom_id, "key": f"inbox/{name}"} for custom_id, name, _ in lines]
    manifest = _add_manifest(made, "faulty", listed)
    made.batches.append(Batch(planned, {"manifest": manifest, "describer": DESCRIBER}))


def _add_paid(made: Campaign, dice: random.Random) -> None:
    """Add an ImageBatch whose images are recognized by their prompts."""
    names = [name for name, _ in _good_objects(made, "paid", OBJECTS, dice)]
    ids = [f"paid-{index:04}" for index in range(PAID_IMAGES)]
    listed = [
        {
            "customId": custom_id,
            "key": f"inbox/{names[index % OBJECTS]}",
            "options": {"prompt": custom_id},
        }
        for index, custom_id in enumerate(ids)
    ]

    expected = {custom_id: ExpectedLine(answer_text(custom_id)) for custom_id in ids}
    planned = Planned(f"{made.folder}-paid", expected, is_paid=True)
    manifest = _add_manifest(made, "paid", listed)
    made.batches.append(Batch(planned, {"manifest": manifest, "describer": PAID_DESCRIBER}))


def _add_folder(made: Campaign, dice: random.Random) -> None:
    """Add an ImageBatch of a folder, in which each image has a size of its own."""
    found = dict(_good_objects(made, "folder", FOLDER_IMAGES, dice))
    expected = {name.rpartition("/")[2]: it for name, it in found.items()}
    planned = Planned(f"{made.folder}-folder", expected)

    spec = {"prefix": f"inbox/{made.folder}/folder/", "describer": FOLDER_DESCRIBER}
    made.batches.append(Batch(planned, spec, dice.uniform(*LATER_SECONDS)))


def _good_objects(
    made: Campaign, kind: str, count: int, dice: random.Random, comment: bytes = b""
) -> Iterator[tuple[str, ExpectedLine]]:
    """Add images of different sizes. Yield their names, and what `metadata` says about each."""
    for index in range(count):
        width, height = 16 + index % 100, 16 + index // 100
        name = f"{made.folder}/{kind}/{index:04}.jpg"
        made.images[name] = draw((width, height), dice, comment)
        yield name, ExpectedLine(f"- Dimensions: {width}x{height} pixels")


def _add_manifest(made: Campaign, kind: str, lines: list[Json]) -> str:
    """Add a list of images, and return its key, without the release's id."""
    name = f"{made.folder}/{kind}.jsonl"
    made.manifests[name] = "".join(f"{json.dumps(line)}\n" for line in lines).encode()
    return f"inbox/{name}"
