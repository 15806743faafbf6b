"""What `up` shows at the end: the example picture, described, and what to try."""

import os
import subprocess
import sys
from pathlib import Path

from cluster import dotenv
from cluster.errors import ClusterError
from cluster.release import NAMESPACE

CLIENT, PHOTO = Path("test_client.py"), Path("docs/photo.jpg")

COULD_NOT = """.
openai, which describes by default, could not: see the error above. Put right the OPENAI_… settings in .env or
the environment, and `make up` again; until then metadata describes"""


def show(repository: Path, url: str, variables: str) -> None:
    """Describe the picture and say what to try; `variables` are those that every `make` needs.

    That a provider does not describe is told and is no error: the system is up, and works without
    it. Raises ClusterError when it does not describe by itself.
    """
    print(f"$ python3 {CLIENT} {PHOTO} --url {url}", flush=True)
    client, photo = repository / CLIENT, repository / PHOTO
    done = subprocess.run([sys.executable, client, photo, "--url", url], check=False)
    described = done.returncode == 0
    if not described and not dotenv.chooses_openai(dotenv.read(repository / ".env", os.environ)):
        raise ClusterError(f"{CLIENT} failed against {url}: `make logs` shows why")
    print(f"\n{ending(url, variables, described=described)}")


def ending(url: str, variables: str, *, described: bool) -> str:
    """The last lines: where it is, and commands that work as they stand."""
    could_not, other = ("", "") if described else (COULD_NOT, " -F describer=metadata")
    return (
        f"vision-node is up: {url}/ui (its API: {url}/docs){could_not}. Try:\n"
        f"  curl -F file=@{PHOTO}{other} {url}/submit\n"
        f"  make status{variables}\n"
        f'  eval "$(make env{variables})"; kubectl -n {NAMESPACE} get imagejobs --watch'
    )
