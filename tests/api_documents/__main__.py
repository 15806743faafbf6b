"""Write docs/errors.md, docs/openapi.json or the table of docs/access.md.

For example, `python -m api_documents errors`; the others are `openapi` and `access`.
"""

import argparse
import sys

from . import errors_page, owner_matrix, snapshot


def main() -> int:
    """Write one of the documents, and return the exit code."""
    parser = argparse.ArgumentParser(prog="api_documents", description=__doc__)
    parser.add_argument("document", choices=["errors", "openapi", "access"])
    parser.add_argument(
        "--incompatible",
        action="store_true",
        help="write docs/openapi.json although it breaks clients of the one that is there",
    )
    arguments = parser.parse_args()

    if arguments.document == "errors":
        errors_page.PATH.write_text(errors_page.errors_page())
        return 0

    if arguments.document == "access":
        page = owner_matrix.PATH.read_text()
        owner_matrix.PATH.write_text(owner_matrix.access_page(page))
        return 0

    return _write_openapi(is_forced=arguments.incompatible)


def _write_openapi(*, is_forced: bool) -> int:
    broken = [] if is_forced else snapshot.incompatible_changes()
    for change in broken:
        print(change, file=sys.stderr)
    if broken:
        print("docs/openapi.json was not written: the API would break clients.", file=sys.stderr)
        return 1

    snapshot.PATH.write_text(snapshot.current_text())
    return 0


if __name__ == "__main__":
    sys.exit(main())
