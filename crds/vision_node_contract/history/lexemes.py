"""The words by which images are found.

PostgreSQL's full-text index (GIN) can't return matches in the order of time. So each word is stored
together with the number of its chunk, a period of time: the index then answers "which rows of this
chunk have this word", and a search begins with the newest chunk and stops once it has found enough.

Words are not stemmed, because descriptions may be in any language. Searches find words by their
beginning instead.
"""

import re
import unicodedata
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import islice

MAX_WORDS = 2000
"""Maximum number of different words of one image. A page of a newspaper has about 1,500."""

MAX_WORD_CHARACTERS = 64
"""Maximum length of a word. Longer ones are cut off. PostgreSQL allows 2,046 bytes, but what is
longer is no word, but for example encoded data."""

MAX_QUERY_WORDS = 16
"""Maximum number of words in a search."""

MIN_PREFIX_CHARACTERS = 2
"""Minimum length of a word in a search that also finds longer words. Too many words begin with any
given letter."""

_WORD = re.compile(r"[^\W_]+")
_ASCII_WORD = re.compile(r"[a-z0-9]+")
_UNSPACED = re.compile(r"[\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff]+")
"""Runs of Japanese and Chinese characters, which are written without spaces between words."""


@dataclass(frozen=True, slots=True)
class QueryWord:
    """A word to search for."""

    word: str
    is_prefix: bool
    """Whether longer words that begin with it are found, too."""


def words_of(texts: Iterable[str]) -> list[str]:
    """Return the different words in the texts, in order, without case and up to MAX_WORDS."""
    found: dict[str, None] = {}
    for text in texts:
        found.update(dict.fromkeys(_words(text)))
        if len(found) >= MAX_WORDS:
            break

    return list(islice(found, MAX_WORDS))


def query_words(text: str) -> list[QueryWord]:
    """Return the words of a search, up to MAX_QUERY_WORDS; an empty list if there are none.

    An image is found if it has all of them.
    """
    found: dict[str, QueryWord] = {}
    for run in _runs(text):
        if _UNSPACED.fullmatch(run):
            parts = [run[at : at + 2] for at in range(max(1, len(run) - 1))]
            found |= {part: QueryWord(part, len(part) == 1) for part in parts}
        else:
            found[run] = QueryWord(run, len(run) >= MIN_PREFIX_CHARACTERS)

    return list(found.values())[:MAX_QUERY_WORDS]


def vector_text(chunk: int, words: Iterable[str], owner: str, reuse_key: str = "") -> str:
    """Return the text of a tsvector with the words of an image, for example `'7:cat' '7:sofa'`.

    `reuse_key` is empty if the image's result can't be reused.
    """
    lexemes = [_owner_lexeme(chunk, owner)] if owner else []
    if reuse_key:
        lexemes.append(_reuse_lexeme(chunk, reuse_key))

    # Words have only letters and digits, so they need no escapes.
    quoted = [f"'{_lexeme(chunk, word)}'" for word in words]
    return " ".join([*map(_quoted, lexemes), *quoted])


def query_text(
    chunks: Iterable[int],
    words: Iterable[QueryWord],
    owner: str | None,
    reuse_key: str | None = None,
) -> str:
    """Return the text of a tsquery that finds the images in these chunks that have all the words.

    With `owner`, only this owner's images are found, and with `reuse_key`, only images whose
    results can be reused for it.
    """
    words = list(words)
    return " | ".join(f"({' & '.join(_terms(chunk, words, owner, reuse_key))})" for chunk in chunks)


def _terms(
    chunk: int, words: Iterable[QueryWord], owner: str | None, reuse_key: str | None
) -> Iterator[str]:
    for it in words:
        yield _quoted(_lexeme(chunk, it.word)) + (":*" if it.is_prefix else "")
    if owner:
        yield _quoted(_owner_lexeme(chunk, owner))
    if reuse_key:
        yield _quoted(_reuse_lexeme(chunk, reuse_key))


def _words(text: str) -> Iterable[str]:
    if not text.isascii():
        return _words_of_any_script(text)

    # Most texts are, and they need neither normalization nor a look at each character.
    words: list[str] = _ASCII_WORD.findall(text.lower())
    if len(max(words, key=len, default="")) > MAX_WORD_CHARACTERS:
        words = [word[:MAX_WORD_CHARACTERS] for word in words]
    return words


def _words_of_any_script(text: str) -> Iterator[str]:
    for run in _runs(text):
        if not run.isascii() and _UNSPACED.fullmatch(run):
            # The last character is a word of its own, so that a search for it finds this run.
            yield from (run[at : at + 2] for at in range(len(run)))
        else:
            yield run


def _runs(text: str) -> Iterator[str]:
    """Yield the runs of letters and digits, with those without spaces in runs of their own."""
    clean = text.encode(errors="ignore").decode()  # without lone surrogates
    for match in _WORD.finditer(unicodedata.normalize("NFKC", clean).casefold()):
        at, word = 0, match.group()
        if word.isascii():
            yield word[:MAX_WORD_CHARACTERS]
            continue

        for unspaced in _UNSPACED.finditer(word):
            if unspaced.start() > at:
                yield word[at : unspaced.start()][:MAX_WORD_CHARACTERS]
            yield unspaced.group()
            at = unspaced.end()
        if at < len(word):
            yield word[at:][:MAX_WORD_CHARACTERS]


def _lexeme(chunk: int, word: str) -> str:
    return f"{chunk}:{word}"


def _owner_lexeme(chunk: int, owner: str) -> str:
    # No word contains an @, so no search for words finds an owner.
    return f"{chunk}@{owner}"


def _reuse_lexeme(chunk: int, reuse_key: str) -> str:
    # No word contains a #, and all words of a chunk begin with `<chunk>:`.
    return f"{chunk}#{reuse_key}"


def _quoted(lexeme: str) -> str:
    escaped = lexeme.replace("\\", "\\\\").replace("'", "''")
    return f"'{escaped}'"
