"""Tests of the page and the chart of a soak test, and of saving and loading its results."""

import dataclasses
import json
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest
from bench.errors import BenchError
from bench.soak import curves, report
from bench.soak.results import AT_END, AT_START, EtcdSize, Found, Sample, Soak, save, soak_of
from unit.bench.soak.soak_fakes import PLAN, new_soak, reading

SVG = "{http://www.w3.org/2000/svg}"


@pytest.fixture
def soak() -> Soak:
    found = new_soak(dataclasses.replace(PLAN, images=36_000, imagejob_seconds=240, quick=False))
    found.load_seconds, found.evicted_seconds = 1200, 245
    found.tally.done, found.tally.results_checked = 36_000, 360
    found.tally.retries = {"429": 12, "503": 3}
    found.etcd = {AT_START: EtcdSize(21_000_000, 20_000_000), AT_END: EtcdSize(10**8, 5 * 10**7)}
    for t in range(0, 1500, 5):
        done = min(36_000, 30 * t)
        found.samples.append(Sample(t, done, 0, 0, reading(t, t if t % 30 == 0 else None)))
        found.samples[-1].reading.database_bytes = 1_000_000 + 3_000 * done
        found.samples[-1].reading.cpu_seconds = {"archiver": 7 + t / 100, "postgres": 9 + t / 50}
    found.found = Found(36_000, 0, 1_000, 0, 100, 0, 126_000_000)
    return found


def test_page_shows_what_was_done_and_each_bar(soak: Soak) -> None:
    text = report.figures(soak)
    assert "This took 20.0 minutes, 30 images/s." in text
    assert "repeated: 12 because of 429, 3 because of 503." in text
    assert "Everything was evicted 245 s after the last image was done." in text
    assert "from minute 10.0 to 20.0 (shaded)" in text
    assert "| images that no client saw done | 0 of 36,000 | 0 | ✓ |" in text
    assert "| left: ImageJobs | 1,495 | 0 | ✗ |" in text
    assert "| operator | 100 | 100 | 100 | 100 |" in text
    assert f"| {AT_END} | 100 | 50 |" in text
    assert "| acknowledged jobs that PostgreSQL does not have | 0 of 36,000 | 0 | ✓ |" in text
    assert "| PostgreSQL's database: bytes per image | 3,500 |" in text
    assert "| CPU time of archiver: ms per image | 0.415 |" in text
    assert "| CPU time of postgres: ms per image | 0.831 |" in text
    assert "Do not quote" not in text


def test_page_of_a_quick_run_warns(soak: Soak) -> None:
    soak.quick, soak.load_seconds = True, 70
    text = report.figures(soak)
    assert text.startswith("**Do not quote these numbers: this was a quick run.**")
    assert "The load was too short to tell whether a curve rises." in text
    assert "| memory of api: rise | too short |  | – |" in text


def test_page_shows_the_first_problems(soak: Soak) -> None:
    soak.tally.note("job `j1`: lost")
    soak.evicted_seconds = None
    text = report.figures(soak)
    assert "The first problems:\n\n- `job  j1 : lost`" in text
    assert "Not everything was evicted at the end." in text


def test_page_can_be_written_without_any_sample() -> None:
    text = report.figures(new_soak())
    assert "| memory" not in text.replace("| memory of", "")
    assert "Requests that were repeated: none." in text


def test_page_and_chart_are_written_to_the_build_folder(soak: Soak, tmp_path: Path) -> None:
    assert report.write(tmp_path, soak, to_docs=False) == tmp_path / "build/bench/soak.md"
    assert (
        (tmp_path / "build/bench/soak.md")
        .read_text()
        .startswith("# Soak test\n\n4 clients submitted")
    )
    assert (tmp_path / "build/bench/soak.svg").read_text() == curves.draw(soak)


def test_generated_section_in_docs_is_replaced(soak: Soak, tmp_path: Path) -> None:
    page = tmp_path / "docs" / "soak.md"
    page.parent.mkdir()
    page.write_text(
        "# Soak\n<!-- make soak: from here -->\nold\n<!-- make soak: to here -->\nend\n"
    )
    assert report.write(tmp_path, soak, to_docs=True) == page
    text = page.read_text()
    assert report.figures(soak) in text
    assert "\nold\n" not in text
    assert text.endswith("<!-- make soak: to here -->\nend\n")
    assert (tmp_path / "docs" / "soak.svg").exists()


def test_page_without_the_section_is_refused(soak: Soak, tmp_path: Path) -> None:
    with pytest.raises(BenchError, match="make soak: from here"):
        report.write(tmp_path, soak, to_docs=True)


def test_saved_results_can_be_loaded(soak: Soak, tmp_path: Path) -> None:
    save(soak, tmp_path / "new" / "soak.json")
    assert soak_of(json.loads((tmp_path / "new" / "soak.json").read_text())) == soak


def test_chart_has_a_panel_for_each_curve(soak: Soak) -> None:
    image = ET.fromstring(curves.draw(soak))  # noqa: S314 (our own file)
    titles = [text.text for text in image.iter(f"{SVG}text") if text.get("class") == "title"]
    assert titles == [
        "Memory of API server, MB",
        "Memory of etcd, MB",
        "Memory of operator, MB",
        "Memory of archiver, MB",
        "Memory of API, MB",
        "Memory of MinIO, MB",
        "Memory of PostgreSQL, MB",
        "Memory of workers, MB",
        "etcd's database, MB",
        "ImageJobs and objects",
        "PostgreSQL's database, MB",
        "Images per second",
    ]
    assert len(list(image.iter(f"{SVG}polyline"))) == 14


def test_lines_of_the_chart_are_inside_their_panels(soak: Soak) -> None:
    image = ET.fromstring(curves.draw(soak))  # noqa: S314
    for line in image.iter(f"{SVG}polyline"):
        points = [tuple(map(float, point.split(","))) for point in line.get("points", "").split()]
        assert len(points) > 10
        assert all(curves.LEFT <= x <= curves.WIDTH - curves.RIGHT for x, _ in points)
        assert all(curves.TOP <= y <= curves.HEIGHT - curves.BOTTOM for _, y in points)


def test_chart_can_be_drawn_without_any_sample() -> None:
    ET.fromstring(curves.draw(new_soak()))  # noqa: S314


@pytest.mark.parametrize(
    ("highest", "top"),
    [(0, 1), (-1, 1), (0.3, 0.4), (1, 1), (1.1, 2), (37, 40), (99, 100), (100, 100), (101, 200)],
)
def test_axis_ends_at_a_round_number(highest: float, top: float) -> None:
    assert curves.nice_top(highest) == pytest.approx(top)


def test_rates_are_averages_of_a_minute(soak: Soak) -> None:
    rates = dict(curves.rates(soak))
    assert rates[600] == pytest.approx(30)
    assert rates[1230] == pytest.approx(15)
    assert rates[1300] == 0
    assert 0 not in rates


def test_thinned_line_keeps_peaks_and_the_last_point() -> None:
    points = [(float(t), 100.0 if t == 2345 else 1.0) for t in range(5000)]
    kept = curves.thinned(points)
    assert len(kept) <= curves.MAX_POINTS + 1
    assert (2345.0, 100.0) in kept
    assert kept[-1] == points[-1]
    assert kept == sorted(kept)
