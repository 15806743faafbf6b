"""Tests of the main use case: submit an image, get its description, and list jobs with kubectl."""

import io
import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import pytest
from PIL import Image


def test_photograph_is_queued_processed_and_done(
    api: httpx.Client,
    photo: Path,
    submit: Callable[..., str],
    ended: Callable[[str], dict[str, Any]],
    imagejob: Callable[[str], dict[str, Any]],
) -> None:
    job_id = submit(photo.read_bytes())
    status = ended(job_id)
    assert (status["status"], status["attempts"], status["error"]) == ("done", 1, None)

    result = api.get(f"/result/{job_id}").json()
    assert (result["job_id"], result["status"]) == (job_id, "done")
    assert result["description"].startswith("Image Description:")
    assert "- Dimensions: 640x427 pixels" in result["description"]
    assert (result["_generated_by"], result["describer"]) == ("vision-node-gpt", "metadata")
    facts = result["facts"]
    assert (facts["format"], facts["mode"], facts["width"], facts["height"]) == (
        "JPEG",
        "RGB",
        640,
        427,
    )

    job = imagejob(job_id)
    conditions = {c["type"]: c for c in job["status"]["conditions"]}
    assert conditions["Assigned"]["status"] == conditions["Complete"]["status"] == "True"
    # The order of the times shows that the job was assigned before it was done.
    times = [job["metadata"]["creationTimestamp"][:19]]
    times += [conditions[kind]["lastTransitionTime"][:19] for kind in ("Assigned", "Complete")]
    assert times == sorted(times)
    assert job["status"]["worker"] in conditions["Assigned"]["message"]
    assert len(job["status"]["result"]["summary"]) <= 256


def test_ten_photographs_are_described_simultaneously(
    api: httpx.Client,
    photos: list[Path],
    submit: Callable[..., str],
    ended: Callable[[str], dict[str, Any]],
) -> None:
    with ThreadPoolExecutor(len(photos)) as pool:
        job_ids = list(pool.map(lambda path: submit(path.read_bytes()), photos))
        statuses = list(pool.map(ended, job_ids))

    assert [s["status"] for s in statuses] == ["done"] * len(photos)

    for path, job_id in zip(photos, job_ids, strict=True):
        facts = api.get(f"/result/{job_id}").json()["facts"]
        with Image.open(path) as image:
            expected = (image.width, image.height, image.format, image.mode)
        assert (facts["width"], facts["height"], facts["format"], facts["mode"]) == expected, (
            path.name
        )


def corrupt(photo: Path) -> bytes:
    """Return a JPEG that has an intact header but lacks most of its pixels."""
    data = photo.read_bytes()
    return data[: len(data) // 4]


def test_corrupt_image_fails_with_a_reason(
    api: httpx.Client,
    photo: Path,
    submit: Callable[..., str],
    ended: Callable[[str], dict[str, Any]],
    imagejob: Callable[[str], dict[str, Any]],
) -> None:
    job_id = submit(corrupt(photo))
    status = ended(job_id)

    assert status["status"] == "failed"
    assert status["error"]["reason"] == "ImageUnreadable"
    assert status["attempts"] == 1, (
        "an unreadable image must not be tried again, because it stays unreadable"
    )

    answer = api.get(f"/result/{job_id}")
    assert (answer.status_code, answer.json()["reason"]) == (409, "ImageUnreadable")
    failed = {c["type"]: c for c in imagejob(job_id)["status"]["conditions"]}["Failed"]
    assert (failed["status"], failed["reason"]) == ("True", "ImageUnreadable")


def test_kubectl_lists_the_jobs(
    kubectl: Callable[..., str],
    photo: Path,
    submit: Callable[..., str],
    ended: Callable[[str], dict[str, Any]],
) -> None:
    job_id = submit(photo.read_bytes())
    ended(job_id)

    table = kubectl("get", "imagejobs").splitlines()
    assert table[0].split() == ["NAME", "PHASE", "DESCRIBER", "ATTEMPTS", "DURATION", "AGE"]
    (row,) = [line.split() for line in table if line.startswith(job_id)]
    assert row[1:4] == ["done", "metadata", "1"]

    wide = kubectl("get", "ij", "-o", "wide").splitlines()
    assert wide[0].split()[-3:] == ["WORKER", "SUMMARY", "ERROR"]
    (row,) = [line for line in wide if line.startswith(job_id)]
    assert "Image Description:" in row

    done = kubectl("get", "ij", "--field-selector", "status.phase=done", "-o", "name")
    assert f"imagejob.vision-node.dev/{job_id}" in done


def test_imagejob_for_a_missing_object_fails(kubectl: Callable[..., str]) -> None:
    manifest = """
        {"apiVersion": "vision-node.dev/v1alpha1", "kind": "ImageJob",
         "metadata": {"name": "nowhere"},
         "spec": {"image": {"key": "inbox/no-such-object.jpg"}, "describer": "metadata"}}
    """
    kubectl("apply", "-f", "-", input=manifest)
    kubectl("wait", "--for=condition=Failed", "imagejob/nowhere", "--timeout=60s")
    reason = kubectl("get", "imagejob", "nowhere", "-o", "jsonpath={.status.error.reason}")
    assert reason == "ImageNotFound"
    kubectl("delete", "imagejob", "nowhere")


def test_client_prints_the_description(url: str, photo: Path) -> None:
    run = client(url, photo)
    assert run.returncode == 0, run.stderr
    assert run.stdout.startswith("Image Description:")


def test_client_prints_the_reason_for_a_failure(url: str, photo: Path, tmp_path: Path) -> None:
    for data, words in [(b"no image", "UnsupportedFormat"), (corrupt(photo), "ImageUnreadable")]:
        path = tmp_path / "image.jpg"
        path.write_bytes(data)
        run = client(url, path)
        assert (run.returncode, run.stdout) == (1, "")
        assert words in run.stderr

    assert "can't be read" in client(url, tmp_path / "missing.jpg").stderr
    assert "does not respond" in client("http://127.0.0.1:1", photo).stderr


def client(url: str, path: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "test_client.py", str(path), "--url", url]
    return subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)


def test_dimensions_of_small_and_large_png_images_are_correct(
    api: httpx.Client, submit: Callable[..., str], ended: Callable[[str], dict[str, Any]]
) -> None:
    for size in [(1, 1), (3, 2000), (1920, 1080)]:
        out = io.BytesIO()
        Image.new("RGB", size, "teal").save(out, "PNG")
        job_id = submit(out.getvalue())
        assert ended(job_id)["status"] == "done"
        description = api.get(f"/result/{job_id}").json()["description"]
        assert f"- Dimensions: {size[0]}x{size[1]} pixels" in description


@pytest.mark.parametrize("path", ["/healthz", "/readyz"])
def test_health_endpoint_responds(api: httpx.Client, path: str) -> None:
    assert api.get(path).status_code == 200
