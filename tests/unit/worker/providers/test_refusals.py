"""Tests of refusals in a model's text, and of descriptions that only look like refusals."""

import json
from typing import Any

import pytest
from vision_node_contract.models.description import Description, Options
from vision_node_contract.models.reasons import DescribeError, Reason
from vision_node_describer.describers.remote.answers.normalize import read_answer

FIELDS: dict[str, Any] = {
    "description": "A cat sleeps.",
    "alt": "Cat",
    "tags": ["cat"],
    "language": "en",
}


def read(answer: str) -> Description:
    return read_answer(answer, Options(), model=None, usage=None)


REFUSALS = [
    "I'm sorry, I can't help with identifying people in images.",
    "I'm sorry, but I can't assist with that request.".replace(
        "'", "\N{RIGHT SINGLE QUOTATION MARK}"
    ),
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
    "I`m sorry, but I can`t assist with that.",
    "I´m sorry, I can´t assist with this request.",
    "**I'm sorry, but I can't help with that.**",
    "\"I'm sorry, but I can't help with that.\"",
    "I'm sorry, but I can't identify who this image shows.",
    "I'm sorry, I can't identify the men in this picture.",
    "I'm sorry, but I can't help with that. This request violates the content policy.",
    "I'm sorry, but I can't help with that, but if you have other questions, let me know.",
    "I'm sorry, I can't assist with that: it violates my guidelines.",
    "Sorry, I can't help identify people. Identifying real people is not allowed.",
    "I am programmed to be a safe and harmless AI assistant. Therefore, I cannot fulfill your"
    " request.",
    "I'm not going to engage in this topic.",
    "I don't feel comfortable describing this image.",
    "I won't be able to help with that.",
    "I'm afraid I can't help with that.",
    "I'm sorry, but I must decline this request.",
    "I'm unable to identify or describe individuals in photos.",
    "Apologies, but I can't help with that.",
    "Ich kann Ihnen dabei leider nicht helfen.",
    "Ich kann keine Personen auf Bildern identifizieren.",
    "Es tut mir leid, aber ich kann diese Anfrage nicht bearbeiten.",
    "Je ne peux pas identifier les personnes sur les images.",
    "No puedo ayudar con eso.",
    "Het spijt me, daar kan ik niet bij helpen.",
    "Tyvärr kan jag inte hjälpa till med det.",
    "Beklager, men jeg kan ikke hjelpe med det.",
    "Üzgünüm, ancak bu konuda yardımcı olamam.",
    "抱歉，我無法協助辨識圖片中的人物。如果您有其他問題，請告訴我。",
]


@pytest.mark.parametrize("words", REFUSALS)
def test_refusal_in_an_answer_is_recognized(words: str) -> None:
    for answer in (
        words,
        json.dumps({**FIELDS, "description": words}),
        f"<think>hm</think>{words}",
    ):
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
def test_answer_of_a_model_that_saw_no_picture_is_recognized(words: str) -> None:
    with pytest.raises(DescribeError, match="reads pictures") as caught:
        read(words)
    assert caught.value.reason is Reason.REQUEST_REFUSED


TRUE_DESCRIPTIONS = [
    "I'm sorry, I can't identify the person in this image. A man in a blue suit stands at a"
    " podium.",
    "I can't identify people in images, but I can tell you that a man in a suit is speaking to"
    " a crowd.",
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
    "\"I'm sorry, I can't help with that,\" reads the speech bubble of a robot.",
    "'I'm sorry, I can't help with that' is printed on a T-shirt.",
    "“Sorry, I can't help you with that” says the sign at the counter.",
    "I'm sorry, I can't help you: a note on the door of an office.",
    "I'm sorry, I can't identify the person in this image, but the photo shows a man in a suit.",
    "I'm sorry, but I can't identify the person, but I can describe it: a man stands at a podium.",
    "I can't identify the person, but he wears a red hat and holds an umbrella.",
    "I can't help but notice the red bus in the middle of the picture.",
    "I cannot help noticing the huge dog beside the child.",
    "I can't describe the exact color of the sky, but the sunset is bright.",
    "I won't identify the person, however a man in a suit stands at a podium.",
    "I can't identify the breed, but a brown dog runs on grass.",
    "I cannot identify any text in the picture. A red square is on the left.",
    "I cannot see any people. Two cars stand on a street.",
    "I don't see any text. A cat sleeps on a sofa.",
    "I'm unable to identify the exact location, but the buildings look European.",
    "Sorry sign: a handwritten card says sorry, I can't help you.",
    "Unfortunately, the photo is blurred. A man stands at a bus stop.",
    "Unfortunately, I cannot recognize the place; a church stands on a hill.",
    "I'm sorry is written in red letters on a wall.",
    "I am sorry, I cannot help you is written on a postcard.",
    "A person says I'm sorry, I can't help with that in a comic.",
    "No image is hung in the empty frame on the wall.",
    "Screenshot of a chat: the assistant answers that it can't help with identifying people.",
    "An AI assistant's window with the words I'm sorry, I can't assist with that.",
    "Leider kann ich die Person nicht erkennen, aber das Foto zeigt einen Mann mit Hut.",
    "Es tut mir leid, steht auf einem Zettel an der Tür.",
    "Ich kann die Schrift nicht lesen. Ein roter Bus steht an einer Haltestelle.",
    "Ich kann den Ort nicht erkennen. Ein Turm steht auf einem Hügel.",
    "Je ne peux pas identifier le lieu, mais une église se trouve sur une colline.",
    "Désolée, nous sommes fermés : un panneau sur la porte.",
    "No puedo identificar el lugar, pero hay una iglesia en una colina.",
    "Lo siento mucho, dice el cartel de la puerta.",
    "Non posso identificare il luogo, ma una chiesa si trova su una collina.",
    "Não consigo identificar o lugar, mas há uma igreja numa colina.",
    "Het spijt me, staat op een kaart met bloemen.",
    "申し訳ありませんが文字は読めません。赤いバスが停留所に止まっています。",
    "すみません、と書かれたカードを持つ猫。",
    "抱歉，我无法识别文字，但图中有一辆红色公共汽车。",
    "对不起，这里不能停车，牌子上写着。",
    "죄송합니다라고 적힌 표지판이 문에 걸려 있습니다.",
    "The sign reads: Sorry, we cannot assist you today.",
    "I'm With Stupid is printed on a red T-shirt.",
    "I can see a man who cannot help smiling.",
    "As an AI-generated picture, it shows a cat in space.",
    "Sorry! We're open, says a neon sign.",
    "Unable to help, two men watch a burning house.",
    "I'm sorry I can't show more of the left side; a red bus is cut off by the frame.",
    "Cannot process payment: an error message on the screen of a till.",
    "Sorry, this content is not available: a gray placeholder of a web page.",
    "I'm sorry to say the cake is gone: an empty plate with crumbs.",
    "I can't help but smile, says a woman in a comic.",
    "Sorry, I can't come to the phone, reads a yellow note on a desk.",
    "I can’t identify the flower, but its petals are violet.",
    "Desculpe, estamos fechados: uma placa na porta.",
    "Helaas kan ik de tekst niet lezen, maar er staat een rode bus.",
    "Es tut mir leid, ich kann die Person nicht identifizieren. Ein Mann mit Hut steht vor"
    " einer Kirche.",
    "Je suis désolé, je ne peux pas identifier la personne. Un homme en costume se tient"
    " devant un pupitre.",
    "Lo siento, no puedo identificar a la persona. Un hombre con traje está de pie ante un atril.",
    "很抱歉，我无法识别图片中的人物。图片中一名男子站在讲台前。",
    "申し訳ありませんが、人物の特定はできません。スーツを着た男性が演台に立っています。",
    "Can't help falling in love: a record cover from 1961.",
    "I'm sorry, Dave. I'm afraid I can't do that: a movie poster with a red camera eye.",
    "A meme: a dog at a table in flames, caption: this is fine.",
    "I can't help laughing is written on a mug.",
    "Tyvärr kan jag inte identifiera platsen, men en röd buss står vid en kyrka.",
    "A person in a suit stands at a desk; a name tag reads Sorry.",
    "I'm sorry, I can't help with identifying the person. "
    + "The picture shows a street at night. " * 20,
]


@pytest.mark.parametrize("words", TRUE_DESCRIPTIONS)
def test_description_is_not_mistaken_for_a_refusal(words: str) -> None:
    for answer in (words, json.dumps({"description": words})):
        assert read(answer).description == f"Image Description:\n{words.strip()}"
