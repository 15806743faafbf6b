"""Attempts are shared out by owner first, and by host within each owner."""

import pytest
from vision_node_operator.archiver.webhooks.turns import (
    PER_HOST,
    PER_OWNER,
    OwnerQueue,
    Place,
    Rotation,
    share_out,
)


def queue(text: str) -> OwnerQueue:
    """Return a queue such as `anna: h1*9 h2`."""
    owner, _, hosts = text.partition(": ")
    due = {
        name: int(number or 1) for name, _, number in (it.partition("*") for it in hosts.split())
    }
    return OwnerQueue(owner, due)


def places(text: str) -> dict[Place, int]:
    """Return numbers by place, such as `anna/h1*8 ben/h1`."""
    found = {}
    for it in text.split():
        place, _, number = it.partition("*")
        found[Place(*place.split("/"))] = int(number or 1)
    return found


CASES: dict[str, tuple[list[str], str, int, str, str]] = {
    "owners get the same": (["a: h1*8", "b: h2*8"], "", 4, "a/h1*2 b/h2*2", "a b"),
    "hosts don't count as owners": (
        ["a: h1*8 h2*8 h3*8", "b: h9*8"], "", 8, "a/h1*4 b/h9*4", "a b",
    ),
    "the owner with the fewest attempts is next": (
        ["a: h1*8", "b: h2*8"], "a/h5*3", 4, "a/h1 b/h2*3", "a b",
    ),
    "the first of those with the fewest is next": (["b: h1", "a: h2"], "", 1, "b/h1", "a"),
    "nothing is left unused": (["a: h1*8 h2*8", "b: h9"], "", 10, "a/h1*8 a/h2 b/h9", "a"),
    "a busy host gets what is left": (
        ["a: h1*8 h2*3"], f"a/h1*{PER_HOST - 2}", 64, "a/h1*2 a/h2*3", "",
    ),
    "a host is busy with all owners": (["a: h1*8", "b: h1*8"], f"c/h1*{PER_HOST}", 64, "", ""),
    "owners take turns at a host": (["a: h1*8", "b: h1*8"], "a/h1*7", 64, "b/h1", ""),
    "an owner has a maximum": (
        ["a: h1*8 h2*8", "b: h9"], f"a/h5*{PER_OWNER - 1}", 16, "a/h1 b/h9", "a",
    ),
    "no owner is one of them": ([": h1*8", "b: h2*8"], "", 4, "/h1*2 b/h2*2", " b"),
    "nothing is due": (["a: h1*0"], "", 64, "", ""),
}  # fmt: skip


@pytest.mark.parametrize("case", CASES)
def test_attempts_are_shared_out(case: str) -> None:
    queues, running, free, wanted, left_out = CASES[case]
    shares = share_out([queue(it) for it in queues], places(running), free)
    assert dict(shares.wanted) == places(wanted)
    assert shares.left_out == (set(left_out.split(" ")) if left_out else set())
    assert shares.is_full == (bool(left_out) and shares.wanted.total() == free)


ROTATIONS: dict[str, tuple[list[tuple[str | None, bool]], bool]] = {
    "the end is reached": ([(None, False)], False),
    "some are left": ([("h3", False)], True),
    "the rest is reached": ([("h3", False), (None, False)], False),
    "there is no attempt left": ([("h3", True)], False),
    "those before the first one are looked at, too": ([("h3", True), (None, False)], True),
    "then all have been": ([("h3", True), (None, False), (None, False)], False),
}


def test_rotation_ends_when_one_claim_has_looked_at_all() -> None:
    rotation = Rotation()
    rotation.note("h3", is_full=True)
    rotation.note(None, is_full=False, is_complete=True)
    assert not rotation.has_more
    assert rotation.is_idle


@pytest.mark.parametrize("case", ROTATIONS)
def test_rotation_ends_when_all_have_been_looked_at(case: str) -> None:
    steps, has_more = ROTATIONS[case]
    rotation = Rotation()
    for reached, is_full in steps:
        rotation.note(reached, is_full=is_full)
    assert rotation.has_more is has_more
    assert rotation.is_idle == (not has_more and steps[-1][0] is None)
