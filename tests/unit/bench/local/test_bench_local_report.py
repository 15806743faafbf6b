"""Tests of the report about `local`: targets, tables and pictures."""

import dataclasses
from pathlib import Path

import pytest
from bench.errors import BenchError
from bench.local.cost import Cost, Throughput
from bench.local.gallery import page
from bench.local.judge import Judged, judge
from bench.local.report import figures
from bench.local.statements import Statement
from bench.local.truth import Group, Sample, Truth
from bench.measure.local_measure import Measured
from bench.report.generated_section import replace_section
from pictures import encoded, halves

CAT = Truth(must=frozenset({"cat"}))


def cost(
    *,
    seconds: float = 0.2,
    megabytes: int = 350,
    start: float = 2.0,
    two: float = 9.5,
    threads: int = 3,
    loaded: tuple[str, ...] = (),
) -> Cost:
    one = Measured(1.0, 200_000_000, [seconds] * 20, 4.0, 3.8, megabytes * 1_000_000, threads)
    metadata = Measured(0.5, 60_000_000, [0.02] * 20, 0.4, 0.4, 70_000_000, 2, list(loaded))
    return Cost(
        starts={"local": [start] * 3, "metadata": [0.5] * 3},
        one={"local": one, "metadata": metadata},
        two=one,
        throughput={1: Throughput(5.0, 0.19), 2: Throughput(two, 0.2)},
    )


def judged(*names: str, group: Group = Group.PHOTOGRAPH) -> list[Judged]:
    sample = Sample("a | cat", group, CAT, lambda: encoded(halves("RGBA"), "PNG"))
    return [
        Judged(sample, f"A <{name}>.", {said: judge(said, CAT, {})})
        for name in names
        for said in [Statement("label", name)]
    ]


@pytest.mark.parametrize(
    ("found", "row"),
    [
        (cost(), "| seconds, p50 | 0.2 | ✓ ≤ 0.25 (0.15) |"),
        (cost(seconds=0.15), "| seconds, p50 | 0.15 | ✓ and beyond ≤ 0.25 (0.15) |"),
        (cost(seconds=0.26), "| seconds, p50 | 0.26 | ✗ ≤ 0.25 (0.15) |"),
        (
            cost(megabytes=401),
            "| peak memory with two photographs at a time, MB | 401 | ✗ ≤ 400 (300) |",
        ),
        (
            cost(start=2.6),
            "| seconds from the start of a process to its first description, p50 | 2.6 | ✗ ≤ 2.5 |",
        ),
        (cost(two=8.9), "| photographs per second, 2 processes | 8.9 | ✗ ≥ 1.8 times as many |"),
        (cost(), "| photographs per second, 2 processes | 9.5 | ✓ ≥ 1.8 times as many |"),
        (cost(), "| `metadata`: loaded libraries of `local` | none | ✓ none |"),
        (
            cost(loaded=("numpy",)),
            "| `metadata`: loaded libraries of `local` | numpy | ✗ none |",
        ),
    ],
)
def test_cost_and_whether_targets_are_reached(found: Cost, row: str) -> None:
    assert row in figures(judged("cat"), found).splitlines()


def test_additional_threads_miss_the_target() -> None:
    lines = figures(judged("cat"), cost(threads=4)).splitlines()
    assert next(line for line in lines if line.startswith("| threads")).endswith("| 4 | ✗ ≤ 3 |")


def test_quality_and_whether_targets_are_reached() -> None:
    right = figures(judged("cat"), cost())
    assert _row(right, "wrong statements").endswith("| ✓ ≤ 3 |")
    assert _row(right, "photographs with a right").endswith("| ✓ ≥ 70 |")

    wrong = figures([*judged("cat", "dog", "tree"), *judged("dog", group=Group.OTHER)], cost())
    assert "| wrong statements | 75.0 (3 of 4) |" in wrong
    assert _row(wrong, "wrong statements").endswith("| ✗ ≤ 3 |")
    assert _row(wrong, "photographs with a right").endswith("| ✗ ≥ 70 |")
    assert _row(wrong, "other pictures with an").endswith("| ✗ ≤ 2 |")


def _row(text: str, title: str) -> str:
    return next(line for line in text.splitlines() if line.startswith(f"| {title}"))


def test_worst_descriptions_are_named() -> None:
    assert "| a \\| cat | A <dog>. | dog |" in figures(judged("dog"), cost())
    assert "(held out)" not in figures(judged("dog"), cost())
    assert "A <cat>." not in figures(judged("cat", "dog"), cost())


def test_held_out_pictures_are_marked_so_that_nobody_tunes_with_them() -> None:
    one = judged("dog")[0]
    names = (f"picture {number}" for number in range(100))
    samples = (dataclasses.replace(one.sample, name=name) for name in names)
    held_out = next(sample for sample in samples if sample.held_out)
    found = figures([dataclasses.replace(one, sample=held_out)], cost())
    assert f"| {held_out.name} (held out) |" in found


def test_pictures_are_shown_with_what_was_said() -> None:
    text = page(judged("cat", "dog"))
    assert text.index("A &lt;dog&gt;.") < text.index("A &lt;cat&gt;.")
    assert text.count("data:image/jpeg;base64,") == 2


def test_section_of_a_page_is_replaced(tmp_path: Path) -> None:
    file = tmp_path / "page.md"
    file.write_text("a\n<!-- make x: from here -->\nold\n<!-- make x: to here -->\nb\n")
    replace_section(file, "x", "new\n")
    assert file.read_text() == (
        "a\n<!-- make x: from here -->\n\nnew\n\n<!-- make x: to here -->\nb\n"
    )


@pytest.mark.parametrize("content", [None, "no comments\n", "<!-- make x: from here -->\n"])
def test_page_without_the_section_is_not_changed(tmp_path: Path, content: str | None) -> None:
    file = tmp_path / "page.md"
    if content is not None:
        file.write_text(content)

    with pytest.raises(BenchError, match=r"page\.md does not contain"):
        replace_section(file, "x", "new\n")
    assert (file.read_text() if file.exists() else None) == content
