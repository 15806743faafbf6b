"""Tests of the share that one owner may hold of a pool."""

from contextlib import ExitStack

import pytest
from owners_of_requests import acting
from vision_node_api.web.owner_share import OwnerShare, share_of
from vision_node_api.web.problems import Problem


def share_with(limit: int) -> OwnerShare:
    share = OwnerShare(100, "hold {limit} things", "Drop one.", "7")
    share.limit = limit
    return share


@pytest.mark.parametrize(("pool", "share"), [(1000, 500), (5, 2), (2, 1), (1, 1), (0, 1)])
def test_share_is_half_of_the_pool(pool: int, share: int) -> None:
    assert share_of(pool) == share


def test_owner_that_holds_its_share_is_refused_and_others_are_not() -> None:
    share = share_with(2)
    with ExitStack() as held:
        for owner in ("anna", "anna", "ben"):
            with acting(owner):
                held.enter_context(share.holding())

        with acting("anna"), pytest.raises(Problem) as refused, share.holding():
            pass
        with acting("ben"):
            held.enter_context(share.holding())

    problem = refused.value
    assert (problem.status, problem.reason) == (429, "OwnerShareUsed")
    assert problem.headers == {"Retry-After": "7"}
    assert "already hold 2 things" in str(problem.detail)
    assert "Drop one. Try again after 7 s." in str(problem.detail)


def test_room_comes_back_and_owners_that_hold_nothing_are_forgotten() -> None:
    share = share_with(1)
    for _ in range(3):
        with acting("anna"), share.holding():
            assert share.owners == 1
            assert not share.has_room()
        assert share.owners == 0


def test_what_fails_is_released_and_what_is_refused_counts_nothing() -> None:
    share = share_with(1)
    with acting("anna"):
        with pytest.raises(RuntimeError), share.holding():
            raise RuntimeError
        with share.holding():
            for _ in range(3):
                with pytest.raises(Problem), share.holding():
                    pass
        assert share.has_room()
    assert share.owners == 0


def test_single_large_thing_always_fits() -> None:
    share = share_with(10)
    with acting("anna"), share.holding(11):
        assert not share.has_room(1)
        with acting("ben"):
            assert share.has_room(11)


def test_nothing_is_counted_without_owners() -> None:
    share = share_with(1)
    with ExitStack() as held:
        for _ in range(5):
            held.enter_context(share.holding())
        assert share.owners == 0


def test_release_is_that_of_the_owner_who_held_it() -> None:
    """A stream may be closed by a task that answers nobody."""
    share, held = share_with(1), ExitStack()
    with acting("anna"):
        held.enter_context(share.holding())
    with acting("ben"):
        held.close()
    assert share.owners == 0
