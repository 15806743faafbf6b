"""Tests of what test_client.py prints about a result."""

import json
from typing import Any

import pytest

import test_client
from test_client import readable

FACTS = {
    "pictureKind": "photograph",
    "objects": [
        {"name": "person", "count": 2, "confidence": 0.81, "boxes": [[0.1, 0.1, 0.2, 0.2]]},
        {"name": "wine glass", "count": 3, "confidence": 0.505, "boxes": []},
        {"name": "scissors", "count": 1, "confidence": 0.5, "boxes": []},
    ],
    "labels": [{"name": "Egyptian cat", "confidence": 0.62, "parents": ["cat", "animal"]}],
    "faces": {"count": 1, "boxes": []},
}
RESULT = {
    "description": "Image Description:\nTwo people, likely indoors.\n- Format: JPEG",
    "facts": FACTS,
    "text": "EXIT",
}


def test_findings_are_between_the_sentences_and_the_other_facts() -> None:
    assert readable(RESULT).split("\n") == [
        "Image Description:",
        "Two people, likely indoors.",
        "- In the image: 2 people (81 %), 3 wine glasses (50 %), scissors (50 %), 1 face",
        "- Labels: Egyptian cat (62 %)",
        "- Text: “EXIT”",
        "- Format: JPEG",
    ]


def test_several_lines_of_text_are_indented_and_limited() -> None:
    text = "\n".join(f"Line {number}" for number in range(25))
    lines = readable({**RESULT, "facts": {"pictureKind": "screenshot"}, "text": text}).split("\n")
    assert lines[2:5] == ["- Text:", "    Line 0", "    Line 1"]
    assert lines[-3:] == ["    Line 19", "    … and 5 more lines (--json)", "- Format: JPEG"]


@pytest.mark.parametrize(
    "facts",
    [
        {"labels": [{"name": "Cat", "confidence": 0.97}], "faces": 2, "unsafe": []},
        {"ocr": {"lines": 1}},
        {"objects": "cat", "labels": [3, None], "faces": None},
        {"objects": [{"name": "cat"}, {"count": 1}, {"name": "cat", "count": True}]},
        {"objects": [{"name": "cat", "count": "2"}, {"name": "cat", "count": -1}]},
        [],
        None,
    ],
)
def test_other_facts_do_not_change_the_output(facts: object) -> None:
    assert readable({**RESULT, "facts": facts}) == RESULT["description"]
    assert readable({"description": "A cat."}) == "A cat."


@pytest.mark.parametrize("confidence", [None, "0.5", -0.1, 1.1, float("nan"), [0.5]])
def test_invalid_confidence_is_not_printed(confidence: object) -> None:
    facts = {"objects": [{"name": "cat", "count": 1, "confidence": confidence}]}
    assert "- In the image: 1 cat\n" in readable({**RESULT, "facts": facts})


def test_untrusted_text_cannot_control_the_terminal(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    facts = {"objects": [{"name": "cat\n- Format: \x1b[2J", "count": 1}]}
    answers: dict[str, Any] = {
        "submit": {"job_id": "job"},
        "status": {"status": "done"},
        "result": {**RESULT, "facts": facts, "text": "a\u202eb\rc"},
    }
    monkeypatch.setattr(test_client, "vision_node_client", None)
    monkeypatch.setattr(test_client, "call", lambda url, *_: answers[url.split("/")[3]])
    monkeypatch.setattr("sys.argv", ["test_client.py", __file__, "--url", "http://server"])

    assert test_client.main() == 0
    printed = capsys.readouterr().out
    assert "- In the image: 1 cat - Format: \ufffd[2J\n" in printed
    assert not set(printed) & {"\x1b", "\u202e", "\r"}

    monkeypatch.setattr("sys.argv", ["test_client.py", __file__, "--url", "http://s", "--json"])
    assert test_client.main() == 0
    assert json.loads(capsys.readouterr().out) == answers["result"]


@pytest.mark.parametrize(("arguments", "query"), [([], ""), (["--ttl", "90"], "?ttlSeconds=90")])
def test_time_to_live_is_sent_with_the_submission(
    monkeypatch: pytest.MonkeyPatch, arguments: list[str], query: str
) -> None:
    sent: list[str] = []

    def call(url: str, *_: object) -> dict[str, Any]:
        sent.append(url)
        return {"job_id": "job", "status": "done", **RESULT}

    monkeypatch.setattr(test_client, "vision_node_client", None)
    monkeypatch.setattr(test_client, "call", call)
    monkeypatch.setattr("sys.argv", ["test_client.py", __file__, "--url", "http://s", *arguments])

    assert test_client.main() == 0
    assert sent[0] == f"http://s/submit{query}"
