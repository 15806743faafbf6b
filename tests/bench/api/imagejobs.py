"""ImageJobs as the API server sends them, as JSON text."""

import json
from string import hexdigits

from vision_node_contract.json_types import Json

UNFINISHED, PROCESSING, DONE = "queued", "processing", "done"
TIME = "2026-01-01T12:00:00.123456Z"
NUMBER = "0" * 31 + "#"
"""Text that stands for an ImageJob's number in a template. It is as long as a random name."""


def template(phase: str) -> str:
    """Return an ImageJob's JSON text with NUMBER in place of its number.

    An ImageJob that is done has a result of usual length. Without managedFields, it takes 2.4 kB.
    """
    return json.dumps(_imagejob(phase), separators=(",", ":"))


def numbered(text: str, number: int) -> str:
    """Return the JSON text of one ImageJob from its template."""
    return text.replace(NUMBER, f"{number:032d}")


def _imagejob(phase: str) -> Json:
    manager = {
        "manager": "vision-node",
        "operation": "Update",
        "apiVersion": "vision-node.dev/v1alpha1",
        "time": TIME,
        "fieldsType": "FieldsV1",
        "fieldsV1": {"f:metadata": {"f:labels": {}}, "f:spec": {}, "f:status": {}},
    }
    return {
        "apiVersion": "vision-node.dev/v1alpha1",
        "kind": "ImageJob",
        "metadata": {
            "name": f"job-{NUMBER}",
            "namespace": "vision-node",
            "uid": f"00000000-{NUMBER[-27:]}",
            "resourceVersion": "1000",
            "generation": 1,
            "creationTimestamp": TIME,
            "managedFields": [manager] * (1 if phase == UNFINISHED else 2),
        },
        "spec": {
            "image": {
                "key": f"images/{NUMBER}",
                "sha256": hexdigits[:16] * 4,
                "mediaType": "image/jpeg",
                "sizeBytes": 500_000,
                "width": 1920,
                "height": 1080,
                "fileName": "photo.jpg",
            },
            "describer": "metadata",
            "options": {"prompt": "What is in the foreground?", "language": "en"},
            "priority": 0,
            "ttlSecondsAfterFinished": 604_800,
            "cancel": False,
        },
        "status": _status(phase),
    }


def _status(phase: str) -> Json:
    if phase == UNFINISHED:
        return {"phase": phase}

    assigned: Json = {
        "phase": phase,
        "attempts": 1,
        "worker": "vision-node-metadata-0-abcde",
        "startTime": TIME,
        "deadline": TIME,
        "conditions": [_condition("Assigned", "WorkerAssigned", "assigned to a worker")],
    }
    if phase == PROCESSING:
        return assigned

    complete = _condition("Complete", "Described", "the image has been described")
    return {
        **assigned,
        "completionTime": TIME,
        "duration": "0.03s",
        "conditions": [*assigned["conditions"], complete],
        "result": {"describer": "metadata", "summary": "s" * 200, "inline": _result()},
    }


def _condition(kind: str, reason: str, message: str) -> Json:
    return {
        "type": kind,
        "status": "True",
        "reason": reason,
        "message": message,
        "lastTransitionTime": TIME,
        "observedGeneration": 1,
    }


def _result() -> Json:
    return {
        "description": "Image Description:\n" + "x" * 500,
        "alt": "a" * 100,
        "caption": "c" * 80,
        "tags": ["landscape", "mountains", "lake", "clouds", "outdoors"],
        "text": "",
        "language": "en",
        "facts": {"width": 1920, "height": 1080, "colors": ["blue", "green", "gray"]},
        "describer": "metadata",
        "seconds": 0.02,
        "_generated_by": "vision-node-gpt",
    }
