"""Phrases with which models refuse a task, by language."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Language:
    """Patterns of a refusal: "<sorry>, (<but>) <cannot> … <task>", or `bare` without an apology."""

    sorry: str
    but: str
    cannot: str
    task: str
    bare: tuple[str, ...] = ()
    aside: str = r"(?!)"
    """Start of a later sentence that is about the assistant or its user instead of a picture."""
    between: int = 70
    """Maximum number of characters between `cannot` and `task`."""

    def patterns(self) -> tuple[str, ...]:
        """Return case-insensitive regular expressions that match a refusal."""
        gap = rf"[\s,;:.!–—-]+(?:(?:{self.but})\s+)?"
        apology = (
            rf"(?:{self.sorry}){gap}(?:{self.cannot})\b.{{0,{self.between}}}?\b(?:{self.task})"
        )
        return (apology, *self.bare)


PICTURES = (
    "(?:this|the|any|your|that|a|an) (?:[a-z]+ )?(?:images?|pictures?|photos?|photographs?)"
    "|images|pictures|photos"
)

PEOPLE = (
    "(?:or describe |or recognize )?(?:real |specific )?"
    "(?:people|(?:the|this|any|that) (?:person|people|individuals?)|persons|individuals|anyone|who)"
)

CANNOT = (
    r"(?:i|as an ai[\w ,]{0,40}?,? ?i)"
    r" (?:can'?t|can ?not|am (?:unable|not able|not allowed) to|won'?t|will not)(?: be able to)?"
    "|i'm (?:unable|not able|not allowed) to"
)

_HELP = "help(?! (?:but|noticing|thinking|feeling|wondering|smiling|falling)| you:)"

ENGLISH = Language(
    sorry=(
        "(?:i'?m|i am) (?:very |so |really |truly )?sorry|sorry|(?:my )?apologies|i apologi[sz]e"
        "|unfortunately|(?:i'm|i am) afraid|i regret(?: that)?"
    ),
    but="but",
    cannot=f"{CANNOT}|i must|i have to",
    task=(
        f"{_HELP}|assist|comply|identify|recogni[sz]e|describe|analy[sz]e|process|provide|discuss"
        "|fulfil|continue|engage|decline|do (?:that|this)|tell you who"
    ),
    bare=(
        rf"(?:{CANNOT}) (?:{_HELP}|assist|comply|fulfil|identify {PEOPLE})",
        rf"(?:{CANNOT}) (?:provide a description of|describe|process|analy[sz]e) (?:{PICTURES})",
        "(?:i'm|i am) (?:afraid|sorry) (?:that )?i (?:can'?t|can ?not) (?:help|assist|comply)",
        rf"i (?:do not|don't) (?:identify {PEOPLE}|feel comfortable)",
        "(?:i'm|i am) not (?:comfortable|going to) (?:describ|discuss|identify|help|engag|answer)",
        "i must (?:respectfully )?decline",
        rf"(?:i am|i'm) (?:programmed|designed) to be .{{0,80}}?\b(?:therefore|so),? (?:{CANNOT})",
    ),
    aside=(
        r"i\b|i'|please|if\b|feel free|let me|you\b|your\b|perhaps|however,? (?:i|if|you)\b"
        r"|for (?:help|more|further)|is there|would you|can you|could you|my\b"
        r"|(?:this|it|that|which|doing so) (?:is|are|was|request|goes|would"
        r"|violates?|might|may|could)\b"
        r"|identif(?:y|ying|ication)|recogni[sz]ing|sorry|thank"
    ),
    between=12,
)

OTHERS = (
    Language(  # German
        sorry="(?:es )?tut mir (?:sehr )?leid|entschuldigung|leider|bedauerlicherweise",
        but="aber",
        cannot=r"(?:\w+ )?(?:ich (?:kann|darf)|(?:kann|darf) ich|ich bin nicht in der lage)",
        task=(
            "helfen|weiterhelfen|unterstützen|identifizieren|beschreiben|dienen|beantworten"
            "|erkennen|bearbeiten|bilder sehen"
        ),
        bare=(
            "(?:dabei|damit|hierbei) kann ich (?:leider |ihnen |dir )*nicht"
            " (?:helfen|weiterhelfen|dienen)",
            "ich kann (?:leider |ihnen |dir )*(?:dabei|damit|hierbei) (?:leider )?nicht"
            " (?:helfen|dienen)",
            "ich kann (?:leider )?keine (?:realen )?(?:personen|menschen|gesichter).{0,40}?"
            " identifizieren",
        ),
        aside=r"bitte|ich\b|wenn sie|wenn du|falls|gern|kann ich|lassen sie",
    ),
    Language(  # French
        sorry="je suis (?:vraiment )?désolée?|désolée?|malheureusement",
        but="mais",
        cannot="je ne (?:peux|puis|suis pas)",
        task="(?:vous |t'|l')?(?:aider|identifier|décrire|répondre|assister|fournir|reconnaître)",
        bare=("je ne peux pas (?:vous aider|t'aider|identifier (?:les|des|cette|la) personnes?)",),
        aside=r"je\b|si vous|si tu|n'hésitez|veuillez|puis-je",
    ),
    Language(  # Spanish
        sorry="lo siento(?: mucho)?|lo lamento|disculpa|disculpe|lamentablemente",
        but="pero",
        cannot="no (?:puedo|me es posible|estoy)",
        task="ayudar|identificar|describir|responder|asistir|proporcionar|reconocer",
        bare=(r"no puedo (?:ayudar\w*|identificar (?:a )?(?:las |la |esta )?personas?)",),
        aside=r"si\b|por favor|puedo|no dudes",
    ),
    Language(  # Italian
        sorry="mi dispiace|spiacente|purtroppo",
        but="ma",
        cannot="non (?:posso|sono in grado|mi è possibile)",
        task="aiutar|identificare|descrivere|rispondere|assister|fornire|riconoscere",
        bare=(r"non posso (?:aiutar\w*|identificare (?:le |la |questa )?person[ae])",),
        aside=r"se\b|per favore|posso",
    ),
    Language(  # Portuguese
        sorry="desculpe|sinto muito|lamento|infelizmente",
        but="mas",
        cannot="(?:eu )?não (?:posso|consigo|é possível|sou capaz)",
        task="ajudar|identificar|descrever|responder|auxiliar|fornecer|reconhecer",
        bare=(r"não (?:posso|consigo) (?:ajudar|identificar (?:as |a |esta )?pessoas?)",),
        aside=r"se\b|por favor|posso",
    ),
    Language(  # Dutch
        sorry="het spijt me|sorry|helaas",
        but="maar",
        cannot="ik kan|kan ik|ik mag|daar kan ik",
        task="helpen|identificeren|beschrijven|herkennen",
        bare=("daar kan ik (?:je |u )?niet (?:bij|mee) helpen",),
        aside=r"als\b|ik\b|laat het",
    ),
    Language(  # Polish
        sorry="przepraszam|przykro mi|niestety",
        but="ale",
        cannot="nie (?:mogę|jestem w stanie)",
        task="pomóc|zidentyfikować|opisać|rozpoznać",
        aside=r"jeśli|proszę|mogę|czy\b",
    ),
    Language(  # Russian
        sorry="извините|простите|к сожалению|мне жаль",
        but="но",
        cannot="я не (?:могу|в состоянии)",
        task="помочь|описать|определить|опознать",
        aside=r"если|пожалуйста|я\b",
    ),
    Language(  # Swedish
        sorry="tyvärr|jag är ledsen|förlåt",
        but="men",
        cannot="(?:kan jag|jag kan) inte",
        task="hjälpa|identifiera|beskriva",
        aside=r"om du|jag\b",
    ),
    Language(  # Danish and Norwegian
        sorry="beklager|desværre|dessverre|undskyld",
        but="men",
        cannot="(?:kan jeg|jeg kan) ikke",
        task="hj[eæ]lpe|identifi[sc]ere|beskrive",
        aside=r"hvis\b|jeg\b",
    ),
)

WITHOUT_SPACES = (
    "(?:申し訳(?:ありません|ございません|ないです)|すみません|ごめんなさい).{0,30}?"
    "(?:できません|できかねます|お手伝い|お応え|お答え)",
    "(?:很?抱歉|对不起|對不起|很遗憾|很遺憾).{0,10}?我?(?:无法|不能|無法|没办法).{0,20}?"
    "(?:帮|幫|协助|協助|识别|識別|辨认|描述|提供|回答|处理)",
    "我(?:无法|不能|無法)(?:描述|识别|識別|处理|查看|辨认).{0,12}?(?:图|圖|照片|人物)",
    "(?:죄송합니다|죄송하지만|미안합니다).{0,40}?(?:수 없습니다|어렵습니다)",
)
"""Refusals in Japanese, Chinese and Korean, which have few or no spaces between words."""

OTHER_ORDER = (
    r"(?:üzgünüm|maalesef)\b.{0,60}?\b(?:yardımcı olamam|tanımlayamam|tanıyamam|betimleyemem)",
)
"""Refusals in Turkish, in which the verb comes last."""

ASIDE_WITHOUT_SPACES = "他に|もし|ご質問|お手伝い|如果|请|請|您|我|다른|도움"
