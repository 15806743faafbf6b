"""Tests of the statistic that decides whether a curve of a soak test rises."""

import math
import random
from collections.abc import Callable

import pytest
from bench.soak.flatness import (
    ETCD_CYCLE_SECONDS,
    MEGABYTE,
    MEMORY_CYCLE_SECONDS,
    Point,
    Window,
    allowed,
    is_flat,
    judged_window,
    lows,
    rise,
    steady,
)

SECONDS = 600
STEP = 5
CHANCE = random.Random(7)  # noqa: S311 (the same noise in every run)


def curve(value: Callable[[float], float], seconds: int = SECONDS) -> list[Point]:
    """Return a curve in bytes from a function that returns megabytes."""
    return [(t, value(t) * MEGABYTE) for t in range(0, seconds + 1, STEP)]


def saw_tooth(t: float, *, period: float, height: float) -> float:
    return height * (t % period) / period


def noise(share: float) -> float:
    return CHANCE.uniform(-share, share)


@pytest.mark.parametrize(
    ("value", "cycle", "flat"),
    [
        pytest.param(lambda t: 100, 0, True, id="constant"),
        pytest.param(lambda t: 0, 0, True, id="zero"),
        pytest.param(lambda t: 100 + 30 * t / SECONDS, 0, False, id="rising by 30 %"),
        pytest.param(lambda t: 100 + 3 * t / SECONDS, 0, True, id="rising within the slack"),
        pytest.param(lambda t: 2000 + 60 * t / SECONDS, 0, True, id="large, rising by 3 %"),
        pytest.param(lambda t: 2000 + 200 * t / SECONDS, 0, False, id="large, rising by 10 %"),
        pytest.param(lambda t: 300 - 100 * t / SECONDS, 0, True, id="falling"),
        pytest.param(lambda t: 100 * (1 + noise(0.1)), 0, True, id="noisy"),
        pytest.param(
            lambda t: (100 + 30 * t / SECONDS) * (1 + noise(0.1)), 0, False, id="noisy and rising"
        ),
        pytest.param(lambda t: 900 if t == 300 else 100, 0, True, id="one peak"),
        pytest.param(lambda t: 900 if t > 570 else 100, 0, True, id="a peak at the end"),
        pytest.param(lambda t: 100 + 10 * (t // 150), 0, False, id="rising in steps"),
        pytest.param(
            lambda t: 100 if t < 300 else 100 + 10 * math.log(t / 300), 0, False, id="log"
        ),
        pytest.param(
            lambda t: 100 + saw_tooth(t, period=50, height=200),
            MEMORY_CYCLE_SECONDS,
            True,
            id="saw-tooth",
        ),
        pytest.param(
            lambda t: 100 + 20 * t / SECONDS + saw_tooth(t, period=50, height=200),
            MEMORY_CYCLE_SECONDS,
            False,
            id="saw-tooth whose lows rise",
        ),
        pytest.param(
            lambda t: 100 + saw_tooth(t, period=50, height=200 + 200 * t / SECONDS),
            MEMORY_CYCLE_SECONDS,
            True,
            id="saw-tooth whose highs rise",
        ),
    ],
)
def test_only_lasting_growth_counts_as_a_rise(
    value: Callable[[float], float], cycle: float, *, flat: bool
) -> None:
    assert is_flat(lows(curve(value), cycle), SECONDS) is flat


@pytest.mark.parametrize("phase", range(0, 300, 30))
@pytest.mark.parametrize(("leak", "flat"), [(0, True), (40, False)])
def test_etcds_compactions_are_not_mistaken_for_growth(
    phase: float, leak: float, *, flat: bool
) -> None:
    """A window of nine minutes contains only two compactions, at any moment."""
    seconds = 555

    def value(t: float) -> float:
        growth = leak * t / seconds
        return 50 + growth + saw_tooth(t + phase, period=ETCD_CYCLE_SECONDS, height=80)

    assert is_flat(curve(value, seconds), seconds, ETCD_CYCLE_SECONDS) is flat


def test_long_seasonal_curve_is_judged_although_it_is_thinned() -> None:
    points = curve(lambda t: 50 + t / 100 + saw_tooth(t, period=300, height=80), seconds=6000)
    assert rise(points, 6000, ETCD_CYCLE_SECONDS) == pytest.approx(60 * MEGABYTE, rel=0.1)


def test_window_shorter_than_a_season_has_no_rise() -> None:
    assert rise(curve(lambda t: t, seconds=200), 200, ETCD_CYCLE_SECONDS) == 0


def test_rise_is_the_slope_over_the_whole_window() -> None:
    points = [(t, 10.0 + 0.5 * t) for t in range(0, 100, 10)]
    assert rise(points, 200) == pytest.approx(100)


@pytest.mark.parametrize("points", [[], [(1.0, 5.0)]])
def test_fewer_than_two_points_have_no_rise(points: list[Point]) -> None:
    assert rise(points, 100) == 0


@pytest.mark.parametrize(("median", "limit"), [(20, 5), (100, 5), (400, 20)])
def test_small_processes_may_rise_by_a_few_megabytes(median: float, limit: float) -> None:
    assert allowed(curve(lambda t: median)) == pytest.approx(limit * MEGABYTE)


def test_lows_need_a_whole_cycle() -> None:
    points = [(0.0, 3.0), (10.0, 1.0), (20.0, 2.0), (30.0, 5.0), (40.0, 4.0)]
    assert lows(points, 20) == [(0.0, 1.0), (10.0, 1.0), (20.0, 2.0)]
    assert lows(points, 100) == []
    assert lows(points, 0) == points


@pytest.mark.parametrize(
    ("load_seconds", "ttl", "window"),
    [
        pytest.param(3600, 240, Window(900, 3600), id="from minute 15"),
        pytest.param(1800, 240, Window(900, 1800), id="minute 15 is the middle"),
        pytest.param(1100, 240, Window(550, 1100), id="second half"),
        pytest.param(600, 240, Window(300, 600), id="images expire before the middle"),
        pytest.param(590, 240, None, id="images have hardly expired"),
        pytest.param(65, 60, None, id="quick"),
        pytest.param(3600, 900, Window(960, 3600), id="images expire after minute 15"),
        pytest.param(1000, 900, None, id="images expire at the end"),
    ],
)
def test_window_starts_when_images_expire_as_fast_as_they_arrive(
    load_seconds: float, ttl: float, window: Window | None
) -> None:
    assert judged_window(load_seconds, ttl) == window


def test_only_points_in_the_window_are_judged() -> None:
    points = [(float(t), 1.0) for t in range(0, 50, 10)]
    assert steady(points, Window(10, 30)) == points[1:4]
