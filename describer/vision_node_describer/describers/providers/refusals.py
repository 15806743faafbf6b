"""Recognizes a model that refuses in words where its protocol has a field for that.

Few patterns, and only at the start of a short answer: a true description that is taken for a refusal is lost,
a refusal that is taken for a description can be read by a person.
"""

import re
from dataclasses import dataclass

MAX_CHARACTERS = 500
"""Of a refusal. Longer answers describe something after all."""


@dataclass(frozen=True, slots=True)
class _Language:
    """How an assistant's refusal goes in one language: "<sorry>, (but) <cannot> … <task>"."""

    sorry: str
    but: str
    cannot: str
    task: str
    between: int = 70
    """Characters between the last two at most."""

    def pattern(self) -> str:
        gap = rf"[\s,;:.!–—-]+(?:(?:{self.but})\s+)?"
        return rf"(?:{self.sorry}){gap}(?:{self.cannot})\b.{{0,{self.between}}}?\b(?:{self.task})"


_CANNOT = (
    r"(?:i|as an ai[\w ,]{0,40}?i) (?:can'?t|can ?not|am unable to|am not able to|won'?t|will not)"
    "|i'm (?:unable|not able) to"
)

_LANGUAGES = (
    _Language(
        sorry="(?:i'?m|i am) (?:very |so |really )?sorry|sorry|my apologies|i apologi[sz]e|unfortunately",
        but="but",
        cannot=_CANNOT,
        task=(
            "help|assist|comply|identify|recogni[sz]e|describe|analy[sz]e|process|provide|discuss|fulfil|continue"
            "|engage|do (?:that|this)"
        ),
        between=12,
    ),
    _Language(
        sorry="(?:es )?tut mir (?:sehr )?leid|entschuldigung|leider|bedauerlicherweise",
        but="aber",
        cannot=r"(?:\w+ )?(?:ich (?:kann|darf)|(?:kann|darf) ich|ich bin nicht in der lage)",
        task=(
            "helfen|weiterhelfen|unterstützen|identifizieren|beschreiben|dienen|beantworten|erkennen"
            "|bilder sehen"
        ),
    ),
    _Language(
        sorry="je suis (?:vraiment )?désolée?|désolée?|malheureusement",
        but="mais",
        cannot="je ne (?:peux|puis|suis pas)",
        task="(?:vous |t'|l')?(?:aider|identifier|décrire|répondre|assister|fournir|reconnaître)",
    ),
    _Language(
        sorry="lo siento(?: mucho)?|lo lamento|disculpa|disculpe|lamentablemente",
        but="pero",
        cannot="no (?:puedo|me es posible|estoy)",
        task="ayudar|identificar|describir|responder|asistir|proporcionar|reconocer",
    ),
    _Language(
        sorry="mi dispiace|spiacente|purtroppo",
        but="ma",
        cannot="non (?:posso|sono in grado|mi è possibile)",
        task="aiutar|identificare|descrivere|rispondere|assister|fornire|riconoscere",
    ),
    _Language(
        sorry="desculpe|sinto muito|lamento|infelizmente",
        but="mas",
        cannot="(?:eu )?não (?:posso|consigo|é possível|sou capaz)",
        task="ajudar|identificar|descrever|responder|auxiliar|fornecer|reconhecer",
    ),
    _Language(
        sorry="het spijt me|sorry|helaas",
        but="maar",
        cannot="ik kan|kan ik|ik mag|daar kan ik",
        task="helpen|identificeren|beschrijven|herkennen",
    ),
    _Language(
        sorry="przepraszam|przykro mi|niestety",
        but="ale",
        cannot="nie (?:mogę|jestem w stanie)",
        task="pomóc|zidentyfikować|opisać|rozpoznać",
    ),
    _Language(
        sorry="извините|простите|к сожалению|мне жаль",
        but="но",
        cannot="я не (?:могу|в состоянии)",
        task="помочь|описать|определить|опознать",
    ),
)

_PICTURES = (
    "(?:this|the|any|your|that|a|an) (?:[a-z]+ )?(?:images?|pictures?|photos?|photographs?)"
    "|images|pictures|photos"
)

_WITHOUT_APOLOGY = (
    rf"(?:{_CANNOT}) (?:help|assist|comply|fulfil|identify (?:people|the person|individuals|anyone|who))",
    rf"(?:{_CANNOT}) (?:provide a description of|describe|process|analy[sz]e) (?:{_PICTURES})",
    "i must (?:respectfully )?decline",
    "(?:dabei|damit|hierbei) kann ich (?:leider |ihnen |dir )*nicht (?:helfen|weiterhelfen|dienen)",
)

_SEES_NOTHING = re.compile(
    rf"^\W*(?:(?:{_LANGUAGES[0].sorry})[\s,;:.!–—-]+(?:but\s+)?)?"
    rf"(?:as an? [\w -]{{0,40}}?(?:ai|model|assistant)[\w -]{{0,20}}, )?"
    rf"(?:(?:{_CANNOT}) (?:directly )?(?:see|view|access|open) (?:{_PICTURES})"
    r"|i (?:don't|do not) (?:actually )?(?:see|have) (?:any|an|the) (?:\w+ )?"
    "(?:image|picture|photo|attachment)"
    r"|(?:there is|i see) no (?:image|picture|photo|attachment)\b)",
    re.IGNORECASE,
)
"""What a model without eyes answers, or one whose server has dropped the picture."""

# Japanese, Chinese and Korean put no spaces between words.
_WITHOUT_SPACES = (
    "(?:申し訳(?:ありません|ございません|ないです)|すみません|ごめんなさい).{0,30}?"
    "(?:できません|できかねます|お手伝い|お応え|お答え)",
    "(?:很?抱歉|对不起|對不起|很遗憾|很遺憾).{0,10}?我?(?:无法|不能|無法|没办法).{0,20}?"
    "(?:帮|幫|协助|協助|识别|識別|辨认|描述|提供|回答|处理)",
    "我(?:无法|不能|無法)(?:描述|识别|識別|处理|查看|辨认).{0,12}?(?:图|圖|照片|人物)",
    "(?:죄송합니다|죄송하지만|미안합니다).{0,40}?(?:수 없습니다|어렵습니다)",
)

_ALL = (*(language.pattern() for language in _LANGUAGES), *_WITHOUT_APOLOGY, *_WITHOUT_SPACES)
_REFUSES = re.compile(rf"^\W*(?:{'|'.join(_ALL)})", re.IGNORECASE)

_GOES_ON = re.compile(
    r"\b(?:but|however|aber|jedoch|mais|pero|però|mas|maar|ale|но)\b(?!\s+(?:i|ich|je|ik|я)\b)"
    r"|\bbut i (?:can|do) (?:tell you|see|say|describe|confirm)\b(?!.{0,60}\bif you\b).{25}"
    r"|\b(?:shows?|depicts?|there (?:is|are)|zeigt|zu sehen|montre|on voit|muestra|mostra|toont|pokazuje)\b"
    "|但(?!我)|写って|图中|画面|보입니다|показан",
    re.IGNORECASE,
)
"""An answer that goes on so describes something after all."""

_SENTENCE_END = re.compile(r"(?<=[.!?])\s+|(?<=[。！？])")

_ABOUT_ITSELF = re.compile(
    r"\W*(?:i\b|i'|please|if\b|feel free|let me|you\b|your\b|perhaps|however,? (?:i|if|you)\b"
    r"|for (?:help|more|further)|is there|would you|can you|could you|my\b|this (?:is|request|goes|would)"
    "|that (?:is|would)|sorry|thank"
    r"|bitte|ich|wenn|falls|gern|kann|je\b|si\b|n'hésitez|veuillez|por favor|puedo|puede|per favore|posso"
    r"|se\b|als\b|ik\b"
    r"|$)",
    re.IGNORECASE,
)
"""How a further sentence of a refusal begins: about the assistant or its user, not about a picture."""


def is_refusal(text: str) -> bool:
    """Return whether a model's answer is an apology in place of a description."""
    text = _normalized(text)
    if len(text) > MAX_CHARACTERS:
        return False
    found = _REFUSES.match(text)
    if found is None or _GOES_ON.search(text, found.end()):
        return False
    _, *further = _SENTENCE_END.split(text[found.end() :])
    return not any(sentence for sentence in further if not _ABOUT_ITSELF.match(sentence))


def sees_no_picture(text: str) -> bool:
    """Return whether a model answers that it got no picture, or reads none."""
    text = _normalized(text)
    return len(text) <= MAX_CHARACTERS and _SEES_NOTHING.match(text) is not None


def _normalized(text: str) -> str:
    return " ".join(text.replace("\N{RIGHT SINGLE QUOTATION MARK}", "'").split())
