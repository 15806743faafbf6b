"""What models really answer: thoughts, JSON among prose, cut JSON, refusals; and what becomes of each."""

import json
from typing import Any

import pytest
from vision_node_contract.description import Description, Options
from vision_node_contract.reasons import DescribeError, Reason
from vision_node_describer.describers.providers.answer import read_answer
from vision_node_describer.describers.providers.openai_wire import Reply, read_reply
from vision_node_describer.describers.providers.refusals import is_refusal

FIELDS: dict[str, Any] = {
    "description": "A cat sleeps on a red sofa.",
    "alt": "Cat on a sofa",
    "caption": "A sleeping cat.",
    "tags": ["cat", "sofa"],
    "text": "",
    "language": "en",
}
J = json.dumps(FIELDS)
SHORT = '{"description": "A cat sleeps on a red sofa."}'


def read(answer: str, finish: str | None = None) -> Description:
    return read_answer(answer, Options(), model="m", usage=None, finish=finish)


FOUND = {
    "the object alone": J,
    "a byte order mark": f"\ufeff{J}",
    "thoughts": f"<think>Is it a dog? {{no}}</think>\n{J}",
    "thoughts without their beginning": f"It is a cat, I think.\n</think>\n\n{J}",
    "thoughts twice": f"<think>one</think>maybe<think>two</think>{J}",
    "thoughts in capitals": f"<THINK>hm</THINK>{J}",
    "thoughts by another name": f"<thinking>hm</thinking>{J}",
    "reasoning": f"<reasoning>hm</reasoning>{J}",
    "thoughts in brackets": f"[THINK]hm[/THINK]{J}",
    "thoughts in marks": f"◁think▷hm◁/think▷{J}",
    "thoughts in channels": f"<|channel|>analysis<|message|>hm<|end|><|channel|>final<|message|>{J}",
    "thoughts with an object in them": f'<think>Maybe {{"description": "A dog."}}</think>{J}',
    "an introduction": f"Here it is: {J}",
    "an introduction and a farewell": f"Sure! Here it is:\n{J}\nLet me know if you need more.",
    "prose behind": f"{J}\n\nI hope this helps {{really}}.",
    "the object twice": f"{J}\n{J}",
    "a list": f"[{J}]",
    "a fence": f"```json\n{J}\n```",
    "a fence in capitals": f"```JSON\n{J}\n```",
    "a fence without a name": f"```\n{J}\n```",
    "a fence that is not closed": f"```json\n{J}",
    "tildes": f"~~~json\n{J}\n~~~",
    "an object in description": json.dumps({"description": FIELDS}),
    "the object as text in description": json.dumps({"description": J}),
    "an object around it": json.dumps({"result": FIELDS}),
    "two objects around it": json.dumps({"data": {"result": [FIELDS]}}),
    "a raw line break": SHORT.replace("sofa.", "sofa.\n"),
    "a description in parts": json.dumps({"description": ["A cat sleeps", "on a red sofa."]}),
    "a short object behind prose": f"Here it is: {SHORT}",
    "Python's notation": str(FIELDS),
    "written out twice": json.dumps(J),
    "names in capitals": json.dumps({name.title(): value for name, value in FIELDS.items()}),
    "the object as text in another one": json.dumps({"response": J}),
    "arguments of a tool": f"<tool_call>{json.dumps({'name': 'describe', 'arguments': J})}</tool_call>",
    "an answer's tags": f"<answer>{J}</answer>",
    "a box": f"<|begin_of_box|>{J}<|end_of_box|>",
    "a marker at the end": f"{J}<|im_end|>",
}


@pytest.mark.parametrize("name", FOUND)
def test_the_object_is_found(name: str) -> None:
    found = read(FOUND[name])
    assert " ".join(found.description.split()) == "Image Description: A cat sleeps on a red sofa."


def test_an_answer_may_quote_a_tag_that_the_picture_shows() -> None:
    quoting = json.dumps({**FIELDS, "description": "A slide shows the tag </think> in red."})
    for answer in (quoting, f"<think>hm</think>{quoting}"):
        assert read(answer).description.endswith("A slide shows the tag </think> in red.")


PROSE = {
    "prose": "A cat sleeps on a red sofa.",
    "prose after thoughts": "<think>A dog?</think>A cat sleeps on a red sofa.",
    "brackets": "[Photograph] A cat sleeps on a red sofa.",
    "braces": "{Cat} sleeps on a red sofa.",
    "a year": "[2024] A cat sleeps on a red sofa.",
    "a quotation": '"Keep off the grass", says the sign beside the sofa.',
    "code that the picture shows": 'The screen shows {"name": "x", "count": 3} beside a cat.',
    "a list at its beginning": '["Hello"] is printed on a red shirt.',
    "a label in brackets": "[Image: A red bus.]",
    "an object at its beginning": '{ "a": 1 } is written on the board behind her.',
    "a quotation mark in brackets": "['80s style] poster of a red car.",
    "a marker at the end": "A cat sleeps.</s>",
    "a tag that the picture shows": "The screen shows the tag <think> and a cat.",
}


@pytest.mark.parametrize("name", PROSE)
def test_prose_is_a_description(name: str) -> None:
    assert read(PROSE[name]).description.split("\n", 1)[1] in PROSE[name]


def test_a_description_may_quote_json_that_the_picture_shows() -> None:
    words = 'An editor. It reads {"name": "x", "description": "y"}.'
    assert read(json.dumps({**FIELDS, "description": words})).description.endswith(words)


CUT = {
    "at its half": J[:40],
    "before its end": J[:-2],
    "behind an introduction": f"Here it is: {J[:60]}",
    "in a fence": f"```json\n{J[:60]}",
    "in a list": f"[{J[:60]}",
    "after thoughts": f"<think>hm</think>{J[:60]}",
    "at its beginning": "{",
    "after its brace": '{"',
    "without its braces": J[1:60],
    "Python's notation": str(FIELDS)[:50],
    "bare names": '{description: "A cat", alt: "A',
    "a number that is none": '{"description": "A cat", "score": NaN, "al',
    "a list of numbers": "[1, 2, 3]",
    "an empty object": "{}",
    "an empty list": "[]",
    "an object of something else": '{"name": "x"}',
    "JSON in description": json.dumps({"description": '{"description": "A ca'}),
    "escaped": J[:60].replace('"', '\\"'),
    "curly quotes": "{\u201cdescription\u201d: \u201cA cat\u201d",
    "bare names behind prose": 'Here it is: {description: "A dog", alt: "x"}',
    "channels that never end": "<|channel|>analysis<|message|>A cat, or",
    "thoughts that never end": "<think>A cat, or is it",
    "thoughts and nothing": "<think>A cat.</think>  ",
    "nothing": " \n",
}


@pytest.mark.parametrize("name", CUT)
def test_what_starts_as_json_is_never_published_as_prose(name: str) -> None:
    with pytest.raises(DescribeError) as caught:
        read(CUT[name])
    assert caught.value.reason is Reason.EMPTY_ANSWER


@pytest.mark.parametrize("answer", [J[:40], "<think>A cat, or is it"])
def test_a_cut_answer_names_its_finish_reason(answer: str) -> None:
    with pytest.raises(DescribeError, match="finish reason eos_token"):
        read(answer, finish="eos_token")


REFUSALS = [
    "I'm sorry, I can't help with identifying people in images.",
    "I'm sorry, but I can't assist with that request.".replace("'", "\N{RIGHT SINGLE QUOTATION MARK}"),
    "I am very sorry, but I cannot describe this image.",
    "Sorry, I can't help with that.",
    "Unfortunately, I am unable to process this picture.",
    "I apologize, but I'm not able to provide a description of this content.",
    "I'm unable to help with that. If you have another picture, feel free to share it!",
    "I can't identify people in photographs.",
    "As an AI language model, I cannot help with this.",
    "I'm sorry, I can't identify who this is, but I can describe the clothes if you like.",
    "I cannot provide a description of this image.",
    "I can't describe this image.",
    "I can't process images.",
    "I must decline to describe this image.",
    "我无法描述这张图片。",
    "Es tut mir leid, aber ich kann dabei nicht helfen.",
    "Tut mir leid, dabei kann ich nicht helfen.",
    "Leider kann ich Personen auf Bildern nicht identifizieren.",
    "Je suis désolé, mais je ne peux pas vous aider avec cette demande.",
    "Désolée, je ne peux pas identifier cette personne.",
    "Lo siento, pero no puedo ayudar con eso.",
    "Lo siento, no puedo identificar a las personas en las imágenes.",
    "Mi dispiace, ma non posso aiutarti con questa richiesta.",
    "Desculpe, mas não posso ajudar com isso.",
    "Sinto muito, não consigo identificar pessoas.",
    "Sorry, maar ik kan daar niet bij helpen.",
    "Przepraszam, ale nie mogę w tym pomóc.",
    "Извините, но я не могу с этим помочь.",
    "申し訳ありませんが、そのリクエストにはお応えできません。",
    "すみませんが、人物を特定することはできません。",
    "很抱歉，我无法识别图像中的人物。",
    "抱歉，我不能协助处理这个请求。",
    "죄송합니다. 이미지 속 인물을 식별할 수 없습니다.",
]


@pytest.mark.parametrize("words", REFUSALS)
def test_a_refusal_in_words_is_a_refusal(words: str) -> None:
    for answer in (words, json.dumps({**FIELDS, "description": words}), f"<think>hm</think>{words}"):
        with pytest.raises(DescribeError) as caught:
            read(answer)
        assert caught.value.reason is Reason.CONTENT_REFUSED


@pytest.mark.parametrize(
    "words",
    [
        "I'm sorry, but I cannot see the image you provided.",
        "I'm sorry, but I don't see any image.",
        "I don't see an image attached. Please upload it.",
        "I'm unable to view images directly. Could you describe it?",
        "As a text-based AI, I cannot see images.",
    ],
)
def test_a_model_that_got_no_picture_says_so(words: str) -> None:
    with pytest.raises(DescribeError, match="reads pictures") as caught:
        read(words)
    assert caught.value.reason is Reason.REQUEST_REFUSED


TRUE_DESCRIPTIONS = [
    "I'm sorry, I can't identify the person in this image. A man in a blue suit stands at a podium.",
    "I can't identify people in images, but I can tell you that a man in a suit is speaking to a crowd.",
    "Sorry, I can't identify people in images. The photo features a man with a hat.",
    "Unfortunately I cannot provide the name of this man. He wears a blue suit.",
    "I don't see any people in this street at night.",
    "I cannot see the face of the woman in the middle.",
    "A sign that says 'I'm sorry, we can't help with refunds'.",
    "Sorry, closed: a handwritten sign hangs in the door of a shop.",
    "'Sorry we missed you' is printed on a red card on a doormat.",
    "I can't quite make out the text on the left, but the picture shows a red bus at a stop.",
    "Unfortunately, I can't read the small text. The picture shows a bus at a stop.",
    "I'm sorry the text is blurred: it shows a bus.",
    "I cannot identify the breed with certainty, but the dog is brown.",
    "I can't identify people, but there are two of them on a bench.",
    "Sorry! The board game lies open on a table, with four colored pawns.",
    "An apology letter that begins with 'I am sorry, I cannot help you'.",
    "A chat window. The last message reads: I'm sorry, I can't help with that.",
    "A man who looks sorry holds a broken vase.",
    "Unable to open: an error message on a gray screen.",
    "A protest sign: 'I can't breathe'.",
    "I can see a red square on the left and a blue one on the right.",
    "Unfortunately damaged, the statue lacks its head.",
    "Two people help a third one over a wall.",
    "A poster against identifying people by their faces.",
    "Leider kann ich den Text links nicht lesen, aber das Bild zeigt einen roten Bus.",
    "Leider geschlossen steht auf dem Schild an der Tür.",
    "Entschuldigung, sagt die Sprechblase einer gezeichneten Katze.",
    "Malheureusement, je ne peux pas lire le texte, mais l'image montre un bus rouge.",
    "Désolé, fermé: un panneau écrit à la main.",
    "Lo siento, cerrado: un cartel en la puerta de una tienda.",
    "Mi dispiace, siamo chiusi: un cartello sulla porta.",
    "Lamento do povo, capa de um disco antigo.",
    "Helaas is de winkel dicht: een bordje op de deur.",
    "Niestety zamknięte: napis na drzwiach.",
    "К сожалению, закрыто: табличка на двери.",
    "申し訳ありません、本日休業と書かれた看板。",
    "抱歉，今日休息：店门上的告示。",
    "A person in a suit stands at a desk; a name tag reads Sorry.",
    "I'm sorry, I can't help with identifying the person. " + "The picture shows a street at night. " * 20,
]


@pytest.mark.parametrize("words", TRUE_DESCRIPTIONS)
def test_a_true_description_is_no_refusal(words: str) -> None:
    assert not is_refusal(words)
    assert read(words).description


def completion(content: object, **more: Any) -> bytes:
    choice = {"message": {"content": content}, "finish_reason": "stop", **more.pop("choice", {})}
    return json.dumps({"model": "m", "choices": [choice], **more}).encode()


ODD_REPLIES: dict[str, tuple[bytes, str, str | None]] = {
    "parts": (completion([{"type": "text", "text": "A "}, {"type": "text", "text": "cat."}]), "A cat.", "m"),
    "strings as parts": (completion(["A ", "cat."]), "A cat.", "m"),
    "parts of thoughts": (
        completion([{"type": "thinking", "thinking": [{"text": "hm"}]}, {"type": "text", "text": "A cat."}]),
        "A cat.",
        "m",
    ),
    "parts of reasoning with text": (
        completion([{"type": "reasoning", "text": "hm"}, {"type": "output_text", "text": "A cat."}]),
        "A cat.",
        "m",
    ),
    "no model": (completion("A cat.", model=None), "A cat.", None),
    "no usage": (completion("A cat.", usage=None), "A cat.", "m"),
    "usage in words": (completion("A cat.", usage={"prompt_tokens": "many"}), "A cat.", "m"),
    "usage as a list": (completion("A cat.", usage=[1]), "A cat.", "m"),
    "an error that is null": (completion("A cat.", error=None), "A cat.", "m"),
    "a refusal that is false": (
        completion("", choice={"message": {"content": "A cat.", "refusal": False}}),
        "A cat.",
        "m",
    ),
    "no finish reason": (completion("A cat.", choice={"finish_reason": None}), "A cat.", "m"),
    "further fields": (completion("A cat.", choice={"logprobs": 1, "index": "x"}, id=7), "A cat.", "m"),
}


@pytest.mark.parametrize("name", ODD_REPLIES)
def test_odd_replies_are_read(name: str) -> None:
    body, text, model = ODD_REPLIES[name]
    reply = read_reply("chat", body)
    assert isinstance(reply, Reply)
    assert (reply.text, reply.model) == (text, model)


def failure(error: object, **more: Any) -> bytes:
    return json.dumps({"error": error, **more}).encode()


IN_ANSWER: dict[str, tuple[bytes, Reason]] = {
    "rate limited": (failure({"code": 429, "message": "Rate limit exceeded"}), Reason.RATE_LIMITED),
    "rate limited, as text": (failure({"code": "429", "message": "slow down"}), Reason.RATE_LIMITED),
    "rate limited, by word": (failure({"code": "rate_limit_exceeded"}), Reason.RATE_LIMITED),
    "wrong key": (failure({"code": 401, "message": "No auth credentials found"}), Reason.CREDENTIALS_REFUSED),
    "wrong key, by type": (failure({"type": "authentication_error"}), Reason.CREDENTIALS_REFUSED),
    "no credit": (failure({"code": 402, "message": "Insufficient credits"}), Reason.QUOTA_EXHAUSTED),
    "no quota": (failure({"code": "insufficient_quota", "status": 429}), Reason.QUOTA_EXHAUSTED),
    "no model": (failure({"code": 404, "message": "No endpoints found for x"}), Reason.MODEL_NOT_FOUND),
    "filtered": (failure({"code": "content_filter"}), Reason.CONTENT_REFUSED),
    "bad request": (failure({"code": 400, "message": "too many images"}), Reason.REQUEST_REFUSED),
    "overloaded": (failure({"code": 502, "message": "overloaded"}), Reason.PROVIDER_UNAVAILABLE),
    "flagged": (
        failure({"code": 403, "message": "requires moderation: your input was flagged"}),
        Reason.CONTENT_REFUSED,
    ),
    "in a list": (b'[{"error": {"code": 429, "message": "quota"}}]', Reason.RATE_LIMITED),
    "as an object": (b'{"object": "error", "message": "x", "code": 400}', Reason.REQUEST_REFUSED),
    "beside an empty answer": (completion("", error={"code": 502}), Reason.PROVIDER_UNAVAILABLE),
    "stopped for an unsafe picture": (
        completion("", choice={"finish_reason": "IMAGE_SAFETY"}),
        Reason.CONTENT_REFUSED,
    ),
    "a refusal in parts": (completion([{"type": "refusal", "refusal": "no"}]), Reason.CONTENT_REFUSED),
    "a word": (failure("something went wrong"), Reason.PROVIDER_UNAVAILABLE),
    "with empty choices": (failure({"code": 429}, choices=[]), Reason.RATE_LIMITED),
    "in the choice": (
        completion("", choice={"error": {"code": 429, "message": "slow down"}}),
        Reason.RATE_LIMITED,
    ),
    "in the choice, without a message": (
        json.dumps({"choices": [{"finish_reason": "error", "error": {"code": 503}}]}).encode(),
        Reason.PROVIDER_UNAVAILABLE,
    ),
    "stopped for safety": (completion("", choice={"finish_reason": "SAFETY"}), Reason.CONTENT_REFUSED),
    "too long": (completion("A ca", choice={"finish_reason": "MAX_TOKENS"}), Reason.EMPTY_ANSWER),
}


# The Responses API has no choices.
OF_BOTH = [name for name, (body, _) in IN_ANSWER.items() if b'"choices": [{' not in body]


@pytest.mark.parametrize(
    ("api", "name"), [*(("chat", name) for name in IN_ANSWER), *(("responses", name) for name in OF_BOTH)]
)
def test_an_error_in_an_answer_is_what_it_is(name: str, api: Any) -> None:
    body, reason = IN_ANSWER[name]
    with pytest.raises(DescribeError) as caught:
        read_reply(api, body)
    assert caught.value.reason is reason
    assert "None" not in caught.value.message
