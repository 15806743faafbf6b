import pytest
from vision_node_contract.history.lexemes import (
    MAX_QUERY_WORDS,
    MAX_WORD_CHARACTERS,
    MAX_WORDS,
    query_text,
    query_words,
    vector_text,
    words_of,
)


@pytest.mark.parametrize(
    ("texts", "words"),
    [
        (["A cat on a sofa."], ["a", "cat", "on", "sofa"]),
        (["IMG_2041.jpg", "x-ray"], ["img", "2041", "jpg", "x", "ray"]),
        (["Straße", "STRASSE"], ["strasse"]),
        (["ﬁre ＡＢＣ"], ["fire", "abc"]),
        (["Кошка, 3 кота"], ["кошка", "3", "кота"]),
        (["猫が寝る"], ["猫が", "が寝", "寝る", "る"]),
        (["iPhone猫"], ["iphone", "猫"]),
        (["a\x00b \ud800c"], ["a", "b", "c"]),
        (["x" * 100], ["x" * MAX_WORD_CHARACTERS]),
        (["", " … "], []),
    ],
)
def test_words_of_texts(texts: list[str], words: list[str]) -> None:
    assert words_of(texts) == words


def test_words_of_a_long_text_are_bounded() -> None:
    assert len(words_of([" ".join(map(str, range(10_000)))])) == MAX_WORDS


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("Cats", [("cats", True)]),
        ("a cat", [("a", False), ("cat", True)]),
        ("猫", [("猫", True)]),
        ("猫が寝る", [("猫が", False), ("が寝", False), ("寝る", False)]),
        ("'); DROP TABLE images; --", [("drop", True), ("table", True), ("images", True)]),
        ("!?", []),
    ],
)
def test_words_of_a_search(text: str, words: list[tuple[str, bool]]) -> None:
    assert [(it.word, it.is_prefix) for it in query_words(text)] == words


def test_words_of_a_search_are_bounded() -> None:
    assert len(query_words(" ".join(map(str, range(100))))) == MAX_QUERY_WORDS


def test_words_and_owner_are_stored_with_their_chunk() -> None:
    assert vector_text(7, ["cat", "sofa"], "ann") == "'7@ann' '7:cat' '7:sofa'"
    assert vector_text(7, [], "") == ""
    assert vector_text(7, [], "o'brien\\") == r"'7@o''brien\\'"
    assert vector_text(7, ["cat"], "ann", "0123") == "'7@ann' '7#0123' '7:cat'"


def test_query_finds_all_words_in_any_of_the_chunks() -> None:
    words = query_words("a cat")

    assert query_text([8, 7], words, None) == "('8:a' & '8:cat':*) | ('7:a' & '7:cat':*)"
    assert query_text([7], words, "ann") == "('7:a' & '7:cat':* & '7@ann')"
    assert query_text([8, 7], [], None, "0123") == "('8#0123') | ('7#0123')"
