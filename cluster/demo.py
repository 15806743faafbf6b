"""The demonstration at the end of `up`: describe a picture, and print commands to try."""

import os
import subprocess
import sys
from pathlib import Path

from cluster import access, dotenv
from cluster.access import ApiAccess
from cluster.errors import ClusterError
from cluster.release import NAMESPACE

CLIENT, PHOTO = Path("test_client.py"), Path("docs/photo.jpg")

FALLBACK_NOTE = """.
openai, the default describer, failed: see the error above. Correct the OPENAI_… settings in .env or
the environment and run `make up` again; until then, choose the describer metadata"""


OPEN = ApiAccess(needs_key=False)

NO_KEY = f"""\
The API needs a key. The Secret {access.ADMIN_KEY_SECRET} with the first one was deleted, so no
picture was described. To describe one, set {access.KEY_VARIABLE} and run `make up` again."""


def show(repository: Path, url: str, variables: str, found: ApiAccess = OPEN) -> None:
    """Describe the picture and print commands to try. Raises ClusterError if that fails.

    A failure of an external provider is reported but is not an error, because the system works
    without the provider.

    Args:
        repository: The checkout.
        url: URL of the API.
        variables: The Make variables to add to the printed commands.
        found: What a client needs to use the API. Without the first key, the user's is used, if
            there is one.
    """
    key = found.key or os.environ.get(access.KEY_VARIABLE, "")
    if found.needs_key and not key:
        print(NO_KEY)
        print(f"\n{closing_text(url, variables, described=True, needs_key=True)}")
        return

    print(f"$ python3 {CLIENT} {PHOTO} --url {url}", flush=True)
    client, photo = repository / CLIENT, repository / PHOTO
    env = os.environ | ({access.KEY_VARIABLE: key} if found.needs_key else {})
    done = subprocess.run([sys.executable, client, photo, "--url", url], check=False, env=env)
    described = done.returncode == 0
    if not described and not dotenv.enables_openai(dotenv.read(repository / ".env", os.environ)):
        raise ClusterError(f"{CLIENT} failed against {url}: `make logs` shows why")

    text = closing_text(url, variables, described=described, needs_key=found.needs_key)
    print(f"\n{text}")


def closing_text(url: str, variables: str, *, described: bool, needs_key: bool = False) -> str:
    """Return the text to print last: the address, and commands that the user can copy."""
    fallback_note, other = ("", "") if described else (FALLBACK_NOTE, " -F describer=metadata")
    header = f' -H "Authorization: Bearer ${access.KEY_VARIABLE}"' if needs_key else ""
    # kubectl needs the environment first if its current context is another cluster.
    environment = f'eval "$(make env{variables})"; '
    get_key = f"  {environment}{access.command()}\n" if needs_key else ""
    return (
        f"vision-node is up: {url}/ui (its API: {url}/docs){fallback_note}. Try:\n"
        f"{get_key}"
        f"  curl{header} -F file=@{PHOTO}{other} {url}/submit\n"
        f"  make status{variables}\n"
        f"  {environment}kubectl -n {NAMESPACE} get imagejobs --watch"
    )
