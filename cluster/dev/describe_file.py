"""Describe one file with a describer class, and print the description as JSON.

`make dev PART=worker` runs this with the environment of the Describer's workers. Unlike the rest of
this package, it needs the project's own packages.
"""

import asyncio
import json
import os
import sys
import time
from pathlib import Path

from vision_node_contract.models.description import Description, Options
from vision_node_contract.models.reasons import DescribeError
from vision_node_describer.describers import Setup, load


async def describe(provider: str, setup: Setup, image: bytes) -> Description:
    """Return the describer's description of the image. Raises DescribeError if it fails."""
    describer = load(provider, setup)
    for warning in describer.warnings():
        print(f"warning: {warning}", file=sys.stderr)

    try:
        found = describer.describe(image, Options())
        return found if isinstance(found, Description) else await found
    finally:
        await describer.close()


def main() -> int:
    """Describe the file that the first argument names; return the exit status."""
    image = Path(sys.argv[1]).read_bytes()
    started = time.monotonic()

    try:
        setup = Setup.from_env(os.environ)
        found = asyncio.run(describe(os.environ["PROVIDER"], setup, image))
    except DescribeError as error:
        print(f"{error.reason}: {error.message}", file=sys.stderr)
        return 1

    print(
        json.dumps(
            found.model_dump(mode="json", by_alias=True, exclude_none=True),
            indent=2,
            ensure_ascii=False,
        )
    )
    print(
        f"described by {os.environ['DESCRIBER']} in {time.monotonic() - started:.2f} s",
        file=sys.stderr,
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
