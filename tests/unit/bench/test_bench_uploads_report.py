"""Tests of the report of `make bench-uploads`."""

import dataclasses
from pathlib import Path

import pytest
from bench.batch.upload_results import SimultaneousUploads, UploadTime, save
from bench.plan import UPLOADED_FORM, UPLOADED_TAR
from bench.report import uploads
from bench.results import Machine

MACHINE = Machine("A processor", 4, 2, True, "2026-01-01 00:00 UTC", False, "abc1234", {})  # noqa: FBT003

FOUND = SimultaneousUploads(
    machine=MACHINE,
    size_mb=2000,
    uploads=[
        UploadTime(UPLOADED_FORM, 3500, 2_001_000_000, 40),
        UploadTime(UPLOADED_TAR, 3500, 2_002_000_000, 50),
    ],
    upload_seconds=50,
    seconds=60,
    memory_before={"api": 71_000_000, "minio": 300_000_000},
    memory={"api": 190_000_000, "minio": 900_000_000, "pause": 200_000},
    cpu_seconds={"api": 35.0},
    emptied_seconds=12.5,
)


@pytest.mark.parametrize(
    ("memory", "outcome"), [(190e6, "reached"), (200e6, "reached"), (200.1e6, "missed")]
)
def test_memory_of_the_api_is_compared_with_its_target(memory: float, outcome: str) -> None:
    found = dataclasses.replace(FOUND, memory={"api": int(memory)})
    assert uploads.judge(found).outcome == outcome


def test_report_shows_times_memory_and_cpu_time() -> None:
    text = uploads.figures(FOUND)
    assert "uploaded 7,000 photographs of 1920 × 1080 pixels (4,003 MB) in 50 s, which is" in text
    assert "which is 80.1 MB/s. After 60 s, a describer" in text
    assert "| memory of the API, 2 uploads of 2,000 MB at once | 190 MB | ≤ 200 | ✓ |" in text
    assert "| batch uploaded as a form | 3,500 | 2,001 | 40 | 50 |" in text
    assert "| api | 71 | 190 | 5 |" in text
    assert "pause" not in text
    assert "Do not quote" not in text


def test_report_of_a_quick_run_has_a_warning() -> None:
    quick = dataclasses.replace(FOUND, machine=dataclasses.replace(MACHINE, quick=True))
    assert uploads.figures(quick).startswith("**Do not quote these numbers")


def test_report_replaces_its_section_in_the_documentation(tmp_path: Path) -> None:
    page = tmp_path / "docs" / "performance.md"
    page.parent.mkdir()
    before, after = "<!-- make bench-uploads: from here -->", "<!-- make bench-uploads: to here -->"
    page.write_text(f"# Performance\n\n{before}\nold\n{after}\n\nThe rest\n")

    assert uploads.write(tmp_path, FOUND, to_docs=True) == page
    text = page.read_text()
    assert "old" not in text
    assert text.startswith(f"# Performance\n\n{before}\n\n2 simultaneous")
    assert text.endswith(f"{after}\n\nThe rest\n")


def test_documentation_has_the_section() -> None:
    page = Path(__file__).parents[3] / "docs" / "performance.md"
    assert page.read_text().count("<!-- make bench-uploads: ") == 2


def test_report_is_written_beside_the_results(tmp_path: Path) -> None:
    folder = tmp_path / "build" / "bench"
    save(FOUND, folder / "uploads.json")
    assert uploads.write(tmp_path, FOUND, to_docs=False) == folder / "uploads.md"
    assert (folder / "uploads.md").read_text().startswith("# Uploads\n\n2 simultaneous")
