"""Tests that links, anchors, make targets and file names in the documentation exist."""

import re
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import unquote

import pytest

REPOSITORY = Path(__file__).parents[3]

PAGES = sorted(
    path
    for pattern in (
        "*.md",
        "docs/**/*.md",
        "client/README.md",
        "cluster/README.md",
        "cluster/go/minio/README.md",
    )
    for path in REPOSITORY.glob(pattern)
)

FENCE = re.compile(r"^```.*?^```", re.MULTILINE | re.DOTALL)
INDENTED_CODE = re.compile(r"(?:(?<=\n\n)|\A)(?: {4}.*\n?)+")
CODE_SPAN = re.compile(r"`([^`\n]+)`")
LINK = re.compile(r"\]\(([^)\s]+)\)")
HEADING = re.compile(r"^#{1,6} (.+)$", re.MULTILINE)
MAKE = re.compile(r"\bmake ((?:[A-Z_]+=\S* +)*)([a-z][a-z0-9-]*)")
MAKE_TARGET = re.compile(r"^([a-z][a-z0-9-]*):", re.MULTILINE)
REPOSITORY_PATH = re.compile(
    r"[\w.-]+(?:/[\w.-]+)+\.(?:go|js|json|md|mod|py|svg|toml|tpl|txt|yaml)"
)

NOT_IN_GIT = ("build/",)
"""Folders whose files are created by commands and are not in the repository."""


def problems_of(page: Path, text: str, repository: Path = REPOSITORY) -> list[str]:
    """Return a message for each link, make target and file in `text` that does not exist."""
    return [
        *_broken_links(page, text),
        *_unknown_targets(text, repository),
        *_missing_paths(page, text, repository),
    ]


def _broken_links(page: Path, text: str) -> Iterator[str]:
    for link in LINK.findall(_without_code(text)):
        if re.match(r"[a-z]+:", link):
            continue

        address, _, anchor = link.partition("#")
        target = page.parent / unquote(address)
        if address and not target.exists():
            yield f"link {link}: no such file"
        elif anchor and anchor not in _anchors(target.read_text() if address else text):
            yield f"link {link}: no such heading"


def _unknown_targets(text: str, repository: Path) -> Iterator[str]:
    known = MAKE_TARGET.findall((repository / "Makefile").read_text())
    for code in _code(text):
        for _, target in MAKE.findall(code):
            if target not in known:
                yield f"make {target}: no such target"


def _missing_paths(page: Path, text: str, repository: Path) -> Iterator[str]:
    for span in CODE_SPAN.findall(FENCE.sub("", text)):
        if not REPOSITORY_PATH.fullmatch(span) or span.startswith(NOT_IN_GIT):
            continue
        if not ((repository / span).exists() or (page.parent / span).exists()):
            yield f"`{span}`: no such file"


def _without_code(text: str) -> str:
    return CODE_SPAN.sub("``", INDENTED_CODE.sub("", FENCE.sub("", text)))


def _code(text: str) -> list[str]:
    prose = FENCE.sub("", text)
    return [*FENCE.findall(text), *INDENTED_CODE.findall(prose), *CODE_SPAN.findall(prose)]


def _anchors(text: str) -> set[str]:
    """Return the anchors that GitHub generates for the headings of a page."""
    headings = HEADING.findall(FENCE.sub("", text))
    plain = (re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", heading) for heading in headings)

    return {re.sub(r"[^\w\- ]", "", heading.lower()).strip().replace(" ", "-") for heading in plain}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(REPOSITORY)))
def test_links_targets_and_files_on_a_page_exist(page: Path) -> None:
    assert problems_of(page, page.read_text()) == []


def test_documentation_index_links_to_every_page() -> None:
    docs = REPOSITORY / "docs"
    links = LINK.findall((docs / "README.md").read_text())
    listed = {(docs / link).resolve() for link in links}
    records = set((docs / "decisions").glob("[0-9]*.md"))
    pages = {page.resolve() for page in docs.rglob("*.md")}

    assert pages - records - listed == {docs / "README.md"}


def test_decision_index_links_to_every_record() -> None:
    folder = REPOSITORY / "docs" / "decisions"
    listed = LINK.findall((folder / "README.md").read_text())
    records = {path.name for path in folder.glob("[0-9]*.md")}

    assert records - set(listed) == set()


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("[x](missing.md)", "link missing.md: no such file"),
        ("[x](other.md#missing)", "link other.md#missing: no such heading"),
        ("# Here\n[x](#there)", "link #there: no such heading"),
        ("Run `make nothing`.", "make nothing: no such target"),
        ("```\nPORT=1 make X=2 nothing\n```", "make nothing: no such target"),
        ("    make nothing\n", "make nothing: no such target"),
        ("See `docs/missing.py`.", "`docs/missing.py`: no such file"),
    ],
)
def test_missing_link_target_or_file_is_reported(tmp_path: Path, text: str, problem: str) -> None:
    _write_repository(tmp_path)

    assert problems_of(tmp_path / "page.md", text, tmp_path) == [problem]


@pytest.mark.parametrize(
    "text",
    [
        "[x](other.md#an-s3-service-of-your-own)",
        "[x](https://example.com/missing.md)",
        "# What it costs, and why\n[x](#what-it-costs-and-why)",
        "`make up PORT=1`, then make it stop",
        "`[x](missing.md)` and `build/missing.md` and `POST /inbox/{name}`",
    ],
)
def test_valid_text_is_not_reported(tmp_path: Path, text: str) -> None:
    _write_repository(tmp_path)

    assert problems_of(tmp_path / "page.md", text, tmp_path) == []


def _write_repository(folder: Path) -> None:
    (folder / "Makefile").write_text("up: lint\n\ttrue\n")
    (folder / "other.md").write_text("## An S3 service of your own\n")
