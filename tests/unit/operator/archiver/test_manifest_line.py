"""Tests of reading the lines of a list of images, of which many are hostile."""

import json
from pathlib import Path
from typing import Any

import pytest
import yaml
from vision_node_contract.bucket_keys import BucketFolders
from vision_node_contract.models.description import Options
from vision_node_operator.archiver.manifests.manifest_line import LineOptions, read_line

FOLDERS = BucketFolders("aaaabbbbcccc")
INBOX = "inbox/aaaabbbbcccc/"
CRD = Path(__file__).parents[4] / "crds/imagebatches.vision-node.dev.yaml"


def read(line: object) -> dict[str, Any]:
    text = line if isinstance(line, bytes) else json.dumps(line).encode()
    return read_line(text, 7, 5, FOLDERS).to_json()


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ({"key": "inbox/a.jpg"}, {"customId": "a.jpg", "key": f"{INBOX}a.jpg"}),
        ({"key": f"{INBOX}b/a.jpg"}, {"customId": "b/a.jpg", "key": f"{INBOX}b/a.jpg"}),
        ({"key": "inbox/.a"}, {"customId": ".a", "key": f"{INBOX}.a"}),
        ({"key": "inbox/a b é"}, {"customId": "a b é", "key": f"{INBOX}a b é"}),
        ({"key": "inbox/a", "customId": "1", "n": [1]}, {"customId": "1", "key": f"{INBOX}a"}),
        ({"key": "inbox/a", "customId": "line-8"}, {"customId": "line-8", "key": f"{INBOX}a"}),
        ({"key": "inbox/a", "customId": "line-8/9"}, {"customId": "line-8/9", "key": f"{INBOX}a"}),
        (
            {"key": "inbox/a", "etag": "abc"},
            {"customId": "a", "key": f"{INBOX}a", "etag": '"abc"'},
        ),
        (
            {"key": "inbox/a", "etag": '"abc"', "customId": None, "options": {}},
            {"customId": "a", "key": f"{INBOX}a", "etag": '"abc"'},
        ),
        (
            {"key": "inbox/a", "options": {"maxLength": 9, "text": False, "promt": 1}},
            {"customId": "a", "key": f"{INBOX}a", "options": {"maxLength": 9, "text": False}},
        ),
    ],
)
def test_valid_line_is_an_image(line: object, expected: dict[str, Any]) -> None:
    assert read(line) == {"index": 5, **expected}


@pytest.mark.parametrize(
    ("line", "word"),
    [
        (b"", "Invalid JSON"),
        (b"null", "object"),
        (b'"inbox/a"', "object"),
        (b"[1]", "object"),
        (b"\xff", "Invalid JSON"),
        (b'{"key":"inbox/\xff"}', "Invalid JSON"),
        (b'{"key":"inbox/a"', "Invalid JSON"),
        (b'{"key":"inbox/a"}{"key":"inbox/b"}', "Invalid JSON"),
        (b"[" * 16000, "recursion limit"),
        (b'{"key":"inbox/a","customId":"\\ud800"}', "Invalid JSON"),
        ({}, "key: Field required"),
        ({"key": 1}, "key: "),
        ({"key": ""}, "below inbox/"),
        ({"key": "inbox/"}, "below inbox/"),
        ({"key": INBOX}, "below inbox/"),
        ({"key": "images/aaaabbbbcccc/a"}, "below inbox/"),
        ({"key": "batches/aaaabbbbcccc/u/m1/000000000"}, "below inbox/"),
        ({"key": "Inbox/a"}, "below inbox/"),
        ({"key": "inbox/../images/a"}, "'..'"),
        ({"key": f"{INBOX}../ddddeeeeffff/a"}, "'..'"),
        ({"key": "inbox//a"}, "'..'"),
        ({"key": "inbox/./a"}, "'..'"),
        ({"key": "inbox/a/"}, "'..'"),
        ({"key": "inbox/a\r\nHost: b"}, "key: "),
        ({"key": "inbox/a\0"}, "key: "),
        ({"key": "inbox/" + "é" * 512}, "1024 bytes"),
        ({"key": "inbox/" + "a" * 513}, "customId must be set"),
        ({"key": "inbox/a", "customId": ""}, "customId: "),
        ({"key": "inbox/a", "customId": "a" * 513}, "customId: "),
        ({"key": "inbox/a", "customId": "a\nb"}, "customId: "),
        ({"key": "inbox/a", "customId": 1}, "customId: "),
        ({"key": "inbox/a", "customId": "line-8/"}, "customId: "),
        ({"customId": "line-8/", "key": 3}, "key: "),
        ({"key": "inbox/a", "etag": ""}, "etag"),
        ({"key": "inbox/a", "etag": "a\r\nb"}, "etag"),
        ({"key": "inbox/a", "etag": 'W/"a"'}, "etag"),
        ({"key": "inbox/a", "options": "prompt"}, "options: "),
        ({"key": "inbox/a", "options": {"prompt": "a" * 4001}}, "options.prompt: "),
        ({"key": "inbox/a", "options": {"language": "english please"}}, "options.language: "),
        ({"key": "inbox/a", "options": {"detail": "best"}}, "options.detail: "),
        ({"key": "inbox/a", "options": {"maxLength": 0}}, "options.maxLength: "),
        ({"key": "inbox/a", "options": {"maxLength": 20001}}, "options.maxLength: "),
        ({"key": "inbox/a", "options": {"maxLength": "9"}}, "options.maxLength: "),
        ({"key": "inbox/a", "options": {"fallback": "always"}}, "options.fallback: "),
        ({"key": "inbox/a", "options": {"text": "true"}}, "options.text: "),
    ],
)
def test_invalid_line_has_an_error_in_place_of_a_key(line: object, word: str) -> None:
    found = read(line)
    error = found.pop("error")
    assert found == {"index": 5, "customId": "line-7/"}
    assert error["reason"] == "ManifestLineInvalid"
    assert error["message"].startswith("line 7 of the list of images is invalid: ")
    assert word in error["message"]


def test_invalid_line_keeps_a_valid_custom_id() -> None:
    assert read({"customId": "mine", "key": 3})["customId"] == "mine"


def test_limits_of_options_are_those_of_the_crd() -> None:
    crd = yaml.safe_load(CRD.read_text())
    spec = crd["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["spec"]
    names = {"maxLength", "minimum", "maximum", "enum", "pattern"}
    wanted = {
        name: {key: value for key, value in field.items() if key in names - {"maxLength"}}
        | (
            {"maxLength": field["maxLength"]}
            if "maxLength" in field and "enum" not in field
            else {}
        )
        for name, field in spec["properties"]["options"]["properties"].items()
    }

    ours = LineOptions.model_json_schema(by_alias=True)["properties"]
    found = {
        name: {key: value for key, value in _type_of(field).items() if key in names}
        for name, field in ours.items()
    }
    assert found == wanted
    assert LineOptions.model_fields.keys() == Options.model_fields.keys()


def _type_of(field: dict[str, Any]) -> dict[str, Any]:
    """Return the schema of an optional field's value, with a constant as an enum of one."""
    found: dict[str, Any] = next(it for it in field["anyOf"] if it != {"type": "null"})
    return found | ({"enum": [found["const"]]} if "const" in found else {})
