"""The demonstration at the end of `up`: describe a picture, and print commands to try."""

import os
import subprocess
import sys
from pathlib import Path

from cluster import dotenv
from cluster.errors import ClusterError
from cluster.release import NAMESPACE

CLIENT, PHOTO = Path("test_client.py"), Path("docs/photo.jpg")

FALLBACK_NOTE = """.
openai, the default describer, failed: see the error above. Correct the OPENAI_… settings in .env or
the environment and run `make up` again; until then, choose the describer metadata"""


def show(repository: Path, url: str, variables: str) -> None:
    """Describe the picture and print commands to try. Raises ClusterError if that fails.

    A failure of an external provider is reported but is not an error, because the system works
    without the provider. `variables` are the Make variables to add to the printed commands.
    """
    print(f"$ python3 {CLIENT} {PHOTO} --url {url}", flush=True)

    client, photo = repository / CLIENT, repository / PHOTO
    done = subprocess.run([sys.executable, client, photo, "--url", url], check=False)
    described = done.returncode == 0
    if not described and not dotenv.enables_openai(dotenv.read(repository / ".env", os.environ)):
        raise ClusterError(f"{CLIENT} failed against {url}: `make logs` shows why")

    print(f"\n{closing_text(url, variables, described=described)}")


def closing_text(url: str, variables: str, *, described: bool) -> str:
    """Return the text to print last: the address, and commands that the user can copy."""
    fallback_note, other = ("", "") if described else (FALLBACK_NOTE, " -F describer=metadata")
    return (
        f"vision-node is up: {url}/ui (its API: {url}/docs){fallback_note}. Try:\n"
        f"  curl -F file=@{PHOTO}{other} {url}/submit\n"
        f"  make status{variables}\n"
        f'  eval "$(make env{variables})"; kubectl -n {NAMESPACE} get imagejobs --watch'
    )
