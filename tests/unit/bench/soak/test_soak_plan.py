"""Tests of the variables of `make soak`."""

import pytest
from bench.errors import BenchError
from bench.soak.plan import SoakPlan


@pytest.mark.parametrize(
    ("env", "images", "ttl", "quick"),
    [
        ({}, 50_000, 240, False),
        ({"QUICK": "1"}, 3000, 60, True),
        ({"QUICK": "0", "IMAGES": "", "IMAGEJOB_SECONDS": ""}, 50_000, 240, False),
        ({"IMAGES": "100000", "IMAGEJOB_SECONDS": "600"}, 100_000, 600, False),
        ({"QUICK": "1", "IMAGES": "10"}, 10, 60, True),
    ],
)
def test_length_comes_from_variables(
    env: dict[str, str], images: int, ttl: int, *, quick: bool
) -> None:
    plan = SoakPlan.from_env(env)
    assert (plan.images, plan.imagejob_seconds, plan.quick) == (images, ttl, quick)


@pytest.mark.parametrize(
    ("env", "message"),
    [
        ({"IMAGES": "0"}, "IMAGES=0: set a whole number of at least 1"),
        ({"IMAGES": "many"}, "IMAGES=many: set a whole number of at least 1"),
        ({"IMAGEJOB_SECONDS": "59"}, "IMAGEJOB_SECONDS=59: set a whole number of at least 60"),
        ({"IMAGEJOB_SECONDS": "-60"}, "IMAGEJOB_SECONDS=-60: set a whole number of at least 60"),
        ({"IMAGEJOB_SECONDS": "4m"}, "IMAGEJOB_SECONDS=4m: set a whole number of at least 60"),
    ],
)
def test_impossible_length_is_refused(env: dict[str, str], message: str) -> None:
    with pytest.raises(BenchError, match=message):
        SoakPlan.from_env(env)
