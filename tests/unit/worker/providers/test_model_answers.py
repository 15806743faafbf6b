"""Tests of parsing model answers that contain reasoning, JSON in prose, or incomplete JSON."""

import json
from typing import Any

import pytest
from vision_node_contract.models.description import Description, Options
from vision_node_contract.models.reasons import DescribeError, Reason
from vision_node_describer.describers.remote.answers.normalize import read_answer
from vision_node_describer.describers.remote.answers.schema import SCHEMA

FIELDS: dict[str, Any] = {
    "description": "A cat sleeps on a red sofa.",
    "alt": "Cat on a sofa",
    "caption": "A sleeping cat.",
    "tags": ["cat", "sofa"],
    "text": "",
    "language": "en",
}
ANSWER = json.dumps(FIELDS)
ANSWER_WITH_TAG = json.dumps({**FIELDS, "description": "A slide shows the tag </think> in red."})
SHORT_ANSWER = '{"description": "A cat sleeps on a red sofa."}'


def read(answer: str, finish_reason: str | None = None) -> Description:
    return read_answer(answer, Options(), model="m", usage=None, finish_reason=finish_reason)


FOUND = {
    "the object alone": ANSWER,
    "a byte order mark": f"\ufeff{ANSWER}",
    "thoughts": f"<think>Is it a dog? {{no}}</think>\n{ANSWER}",
    "thoughts without an opening tag": f"It is a cat, I think.\n</think>\n\n{ANSWER}",
    "two blocks of thoughts": f"<think>one</think>maybe<think>two</think>{ANSWER}",
    "thoughts in capitals": f"<THINK>hm</THINK>{ANSWER}",
    "thoughts in another tag": f"<thinking>hm</thinking>{ANSWER}",
    "reasoning": f"<reasoning>hm</reasoning>{ANSWER}",
    "thoughts in brackets": f"[THINK]hm[/THINK]{ANSWER}",
    "thoughts between special marks": f"◁think▷hm◁/think▷{ANSWER}",
    "thoughts in channels": (
        f"<|channel|>analysis<|message|>hm<|end|><|channel|>final<|message|>{ANSWER}"
    ),
    "thoughts that contain an object": f'<think>Maybe {{"description": "A dog."}}</think>{ANSWER}',
    "an introduction": f"Here it is: {ANSWER}",
    "prose around the object": f"Sure! Here it is:\n{ANSWER}\nLet me know if you need more.",
    "prose after the object": f"{ANSWER}\n\nI hope this helps {{really}}.",
    "the object twice": f"{ANSWER}\n{ANSWER}",
    "a list": f"[{ANSWER}]",
    "a code fence": f"```json\n{ANSWER}\n```",
    "a code fence with its language in capitals": f"```JSON\n{ANSWER}\n```",
    "a code fence without a language": f"```\n{ANSWER}\n```",
    "an unclosed code fence": f"```json\n{ANSWER}",
    "a code fence of tildes": f"~~~json\n{ANSWER}\n~~~",
    "an object in the description": json.dumps({"description": FIELDS}),
    "the object as text in the description": json.dumps({"description": ANSWER}),
    "an enclosing object": json.dumps({"result": FIELDS}),
    "two enclosing objects": json.dumps({"data": {"result": [FIELDS]}}),
    "a raw line break in a string": SHORT_ANSWER.replace("sofa.", "sofa.\n"),
    "a description as a list": json.dumps({"description": ["A cat sleeps", "on a red sofa."]}),
    "a short object after prose": f"Here it is: {SHORT_ANSWER}",
    "Python's notation": str(FIELDS),
    "JSON encoded twice": json.dumps(ANSWER),
    "capitalized field names": json.dumps({name.title(): value for name, value in FIELDS.items()}),
    "the object as text in another object": json.dumps({"response": ANSWER}),
    "tool call arguments": f"<tool_call>{json.dumps({'name': 'describe', 'arguments': ANSWER})}"
    "</tool_call>",
    "tags around the answer": f"<answer>{ANSWER}</answer>",
    "box markers": f"<|begin_of_box|>{ANSWER}<|end_of_box|>",
    "a marker at the end": f"{ANSWER}<|im_end|>",
    "Python's notation in a code fence": f"```python\n{FIELDS}\n```",
    "Python's notation after prose": f"Here it is: {FIELDS}",
    "escaped quotation marks": ANSWER.replace('"', '\\"'),
    "an object without braces": ANSWER[1:-1],
    "a trailing comma": f"{ANSWER[:-1]},}}",
    "a trailing comma in a list": ANSWER.replace('"sofa"]', '"sofa",]'),
    "a comment": ANSWER.replace("{", "{ // the answer\n", 1),
    "unescaped quotation marks in a string": ANSWER.replace(
        '"Cat on a sofa"', '"Sign "STOP" behind it"'
    ),
    "an unpaired surrogate in another field": ANSWER.replace("A sleeping", "\\ud83d A sleeping"),
    "text in an object": json.dumps({"description": {"text": "A cat sleeps on a red sofa."}}),
    "each field in an object": json.dumps(
        {name: {"value": value} for name, value in FIELDS.items()}
    ),
    "values filled into the schema": json.dumps({"type": "object", "properties": FIELDS}),
    "an object after the schema": f"{json.dumps(SCHEMA)}\n{ANSWER}",
    "an object in a code fence in the description": json.dumps(
        {"description": f"```json\n{ANSWER}\n```"}
    ),
    "an object after prose in the description": json.dumps(
        {"description": f"Here it is: {ANSWER}"}
    ),
    "two enclosing lists": f"[[{ANSWER}]]",
    "an object after many brackets that begin no object": '{"a" ' * 500 + ANSWER,
    "an object after a title": f"Image Description:\n{ANSWER}",
    "thoughts in a tag with an attribute": f'<think duration="3">hm</think>{ANSWER}',
    "thoughts in a code fence": f"```\n<think>hm</think>\n{ANSWER}\n```",
    "Gemma's thoughts": f"<|channel>thought\nhm<channel|>{ANSWER}",
    "channels whose tokens were dropped": f"analysisThe user wants it.assistantfinal{ANSWER}",
    "the start of a chat template": f"<|im_start|>assistant\n{ANSWER}",
}


@pytest.mark.parametrize("name", FOUND)
def test_object_is_found_in_the_answer(name: str) -> None:
    found = read(FOUND[name])
    assert " ".join(found.description.split()) == "Image Description: A cat sleeps on a red sofa."


def test_answer_may_quote_a_reasoning_tag_from_the_picture() -> None:
    fenced = f"```json\n{ANSWER_WITH_TAG}\n```"
    for answer in (
        ANSWER_WITH_TAG,
        fenced,
        f"<think>hm</think>{ANSWER_WITH_TAG}",
        f"Here it is: {ANSWER_WITH_TAG}",
    ):
        assert read(answer).description.endswith("A slide shows the tag </think> in red.")


PROSE = {
    "prose": "A cat sleeps on a red sofa.",
    "prose after thoughts": "<think>A dog?</think>A cat sleeps on a red sofa.",
    "brackets": "[Photograph] A cat sleeps on a red sofa.",
    "braces": "{Cat} sleeps on a red sofa.",
    "a year": "[2024] A cat sleeps on a red sofa.",
    "a quotation": '"Keep off the grass", says the sign beside the sofa.',
    "code in the picture": 'The screen shows {"name": "x", "count": 3} beside a cat.',
    "a list at the beginning": '["Hello"] is printed on a red shirt.',
    "a label in brackets": "[Image: A red bus.]",
    "an object at the beginning": '{ "a": 1 } is written on the board behind her.',
    "a quotation mark in brackets": "['80s style] poster of a red car.",
    "a marker at the end": "A cat sleeps.</s>",
    "a tag in the picture": "The screen shows the tag <think> and a cat.",
    "code with field names": 'An editor. It reads {"name": "x", "description": "y"} in green.',
    "code of one field": 'A terminal prints {"description": "y"}, in green letters.',
    "a caption": "A meme with a cat, caption: I can haz.",
    "numbers in braces": "{1, 2, 3} is written on a blackboard.",
    "a number in brackets": "[1] A cat sleeps, as the label says.",
    "a brace at the end": "A book page that ends with a single {",
    "a different tag that is closed": "The screen shows HTML: <div></div> and a cat.",
}


@pytest.mark.parametrize("name", PROSE)
def test_prose_becomes_the_description(name: str) -> None:
    assert read(PROSE[name]).description.split("\n", 1)[1] in PROSE[name]


def test_description_may_quote_json_from_the_picture() -> None:
    words = 'An editor. It reads {"name": "x", "description": "y"}.'
    assert read(json.dumps({**FIELDS, "description": words})).description.endswith(words)


@pytest.mark.parametrize(
    "words",
    [
        'A code editor with package.json open: { "name": "x", "description": "y" } is visible.',
        'An API answers: {"description": "y", "text": "z"} in green.',
        'A screen shows the unfinished line {"description": "y',
        "The page shows <answer>42</answer> in a box.",
        "<description>y</description> is written on the board.",
        '{ "a": 1 } is written on the board.',
    ],
)
def test_description_may_quote_code_from_the_picture(words: str) -> None:
    assert read(json.dumps({**FIELDS, "description": words})).description.endswith(words)


INCOMPLETE = {
    "cut off in the middle": ANSWER[:40],
    "cut off before the end": ANSWER[:-2],
    "cut off after an introduction": f"Here it is: {ANSWER[:60]}",
    "cut off in a code fence": f"```json\n{ANSWER[:60]}",
    "cut off in a list": f"[{ANSWER[:60]}",
    "cut off after thoughts": f"<think>hm</think>{ANSWER[:60]}",
    "cut off after the first brace": "{",
    "cut off after the first quotation mark": '{"',
    "cut off at both ends": ANSWER[1:60],
    "cut off in Python's notation": str(FIELDS)[:50],
    "unquoted field names": '{description: "A cat", alt: "A',
    "NaN as a number": '{"description": "A cat", "score": NaN, "al',
    "a list of numbers": "[1, 2, 3]",
    "an empty object": "{}",
    "an empty list": "[]",
    "an object of something else": '{"name": "x"}',
    "JSON in the description": json.dumps({"description": '{"description": "A ca'}),
    "escaped quotation marks": ANSWER[:60].replace('"', '\\"'),
    "curly quotes": "{\u201cdescription\u201d: \u201cA cat\u201d",
    "unquoted field names after prose": 'Here it is: {description: "A dog", alt: "x"}',
    "channels that never end": "<|channel|>analysis<|message|>A cat, or",
    "a brace after an introduction": "Here it is: {",
    "a brace in a code fence after an introduction": "Here it is:\n```json\n{",
    "a code fence after an introduction": "Here it is:\n```json",
    "a quotation mark after an introduction": 'Here it is: {"',
    "half a field name after an introduction": 'Here it is: {"desc',
    "another field name after an introduction": 'Here it is: {"title": "A cat", "tags": ["ca',
    "a list after an introduction": 'Here it is: ["A cat", "on a',
    "cut off after long prose": "A cat. " * 50 + '{"description": "A cat", "al',
    "a closing tag in a cut-off object": ANSWER_WITH_TAG[:60],
    "a closing tag in a cut-off object after thoughts": f"<think>hm</think>{ANSWER_WITH_TAG[:60]}",
    "a closing tag in a cut-off object in a code fence": f"```json\n{ANSWER_WITH_TAG[:60]}",
    "a tool call": '<tool_call>{"name": "describe", "arguments": {"descr',
    "a cut-off object in a code fence in the description": json.dumps(
        {"description": '```json\n{"description": "A ca'}
    ),
    "an object as the description": json.dumps({"description": '{"foo": "bar"}'}),
    "a list as the description": json.dumps({"description": '["a", "b"]'}),
    "curly single quotes": "{\u2018description\u2019: \u2018A cat\u2019}",
    "the schema": json.dumps(SCHEMA),
    "null": "null",
    "a Boolean value": "true",
    "a number": "42",
    "an empty string": '""',
    "a second block of thoughts that never ends": "<think>a</think>\n<think>b and c",
    "thoughts in a code fence that never end": "```\n<think>hm, a cat",
    "thoughts with an attribute that never end": '<think type="x">hm',
    "thoughts whose tokens were dropped and that never end": "analysisWe need to describe",
    "thoughts that never end": "<think>A cat, or is it",
    "thoughts and nothing else": "<think>A cat.</think>  ",
    "nothing": " \n",
}


@pytest.mark.parametrize("name", INCOMPLETE)
def test_incomplete_json_is_never_published_as_prose(name: str) -> None:
    with pytest.raises(DescribeError) as caught:
        read(INCOMPLETE[name])
    assert caught.value.reason is Reason.EMPTY_ANSWER


@pytest.mark.parametrize("answer", [ANSWER[:40], "<think>A cat, or is it"])
def test_error_for_an_incomplete_answer_contains_the_finish_reason(answer: str) -> None:
    with pytest.raises(DescribeError, match="finish reason eos_token"):
        read(answer, finish_reason="eos_token")


FIELD_CASES: list[tuple[str, object, str, object]] = [
    ("language", "English", "language", "en"),
    ("language", "de_DE", "language", "de-DE"),
    ("language", ["fr"], "language", "fr"),
    ("language", 7, "language", "en"),
    ("tags", {"cat": 0.9, "sofa": 0.5}, "tags", ["cat", "sofa"]),
    ("tags", [{"name": "cat"}, {"tag": "sofa"}, {"x": 1}], "tags", ["cat", "sofa"]),
    ("tags", "cat; sofa", "tags", ["cat", "sofa"]),
    ("tags", "#cat #sofa", "tags", ["cat", "sofa"]),
    ("tags", None, "tags", []),
    ("text", ["STOP", "GO"], "text", "STOP\nGO"),
    ("text", None, "text", ""),
    ("alt", "I'm sorry, I can't help with that.", "alt", "A sleeping cat."),
    ("alt", '{"alt": "Cat', "alt", "A sleeping cat."),
    ("alt", ["Cat on", "a sofa"], "alt", "Cat on a sofa"),
    ("caption", "I'm sorry, I can't help with that.", "caption", "A cat sleeps on a red sofa."),
    ("caption", ["A cat.", "It sleeps."], "caption", "A cat. It sleeps."),
    ("description", "**Image Description:** A cat.", "description", "Image Description:\nA cat."),
    (
        "description",
        {"scene": "A cat.", "mood": "Calm."},
        "description",
        "Image Description:\nA cat.\nCalm.",
    ),
]


@pytest.mark.parametrize(("name", "value", "result_field", "expected"), FIELD_CASES)
def test_field_of_an_unexpected_type_is_converted(
    name: str, value: object, result_field: str, expected: object
) -> None:
    assert getattr(read(json.dumps({**FIELDS, name: value})), result_field) == expected


@pytest.mark.parametrize(
    "titled",
    [
        "Image Description:\nA cat sleeps.",
        "**Image Description:**\n\nA cat sleeps.",
        "# Image Description\n\nA cat sleeps.",
        "Description: A cat sleeps.",
        "Image Description: Image Description: A cat sleeps.",
    ],
)
def test_title_written_by_the_model_is_removed(titled: str) -> None:
    assert read(titled).description == "Image Description:\nA cat sleeps."
    assert read(titled).alt == "A cat sleeps."


def test_invalid_language_falls_back_to_the_requested_one() -> None:
    options = Options(language="de")
    answer = json.dumps({**FIELDS, "language": "German"})
    assert read_answer(answer, options, model=None, usage=None).language == "de"
