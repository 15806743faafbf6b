"""The command line: `python3 -m cluster <verb>`."""

import argparse
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from types import FrameType

from cluster import commands
from cluster.artifacts import debian
from cluster.artifacts.cache import Cache, default_root
from cluster.context import Workshop
from cluster.errors import ClusterError
from cluster.run import shell
from cluster.run.progress import Progress

INTERRUPTED = 130

PORTS = range(1024, 65536)


def parser() -> argparse.ArgumentParser:
    """The verbs and their options."""
    root = argparse.ArgumentParser(prog="python3 -m cluster", description=__doc__)
    verbs = root.add_subparsers(dest="verb", required=True, metavar="verb")

    def verb(name: str, help_text: str) -> argparse.ArgumentParser:
        found = verbs.add_parser(name, help=help_text, description=help_text)
        found.add_argument(
            "--name", default=commands.DEFAULT_CLUSTER, help="the cluster (%(default)s)"
        )
        return found

    up = verb("up", "bring up a cluster with everything on it; only what changed is rebuilt")
    up.add_argument("--port", type=port, default=8000, help="this machine's port (%(default)s)")
    verb("status", "show what runs, how many jobs are in each phase, and the newest ones")
    verb("down", "delete the cluster and stop what was started for it")
    verb("env", "print what a shell needs to use the tools and the cluster")
    verb("images", "make the images only")
    verb("chromium", "install a browser for the browser tests (Debian, root)")
    verb("nginx", "install a proxy for the tests of what is behind one (Debian, root)")
    verb("clean", "delete clusters, engine and cache")
    verb("tool", "get one tool and print its path").add_argument("tool")
    test = verb("test", "run tests on a fresh cluster: test --suite e2e -- <pytest's arguments>")
    test.add_argument("--suite", action="append", choices=commands.SUITES, required=True)
    test.add_argument("arguments", nargs="*")

    for name, text in (
        ("uv", "run the pinned uv: uv -- <its arguments>"),
        ("run", "run a command with the tools and the cluster: run -- <command>"),
    ):
        verb(name, text).add_argument("arguments", nargs="*")

    return root


def port(text: str) -> int:
    """Read a port that a program without privileges may listen on."""
    if not text.isdecimal() or int(text) not in PORTS:
        raise argparse.ArgumentTypeError(f"{text} is no port from {PORTS[0]} to {PORTS[-1]}")
    return int(text)


def act(shop: Workshop, given: argparse.Namespace) -> int:
    """Do what the verb says; the exit status."""
    verbs: dict[str, Callable[[], int | None]] = {
        "up": lambda: commands.up(shop, given.name, given.port),
        "down": lambda: commands.down(shop, given.name),
        "status": lambda: commands.show_status(shop, given.name),
        "test": lambda: commands.test(shop, given.suite, given.arguments),
        "images": lambda: print(*commands.build_images(shop).all, sep="\n"),
        "env": lambda: commands.env(shop, given.name),
        "tool": lambda: print(commands.tool(shop, given.tool)),
        "uv": lambda: commands.uv(shop, given.name, given.arguments),
        "run": lambda: commands.run(shop, given.name, given.arguments),
        "chromium": lambda: debian.chromium(shop),
        "nginx": lambda: debian.nginx(shop),
        "clean": lambda: commands.clean(shop, given.name),
    }

    return verbs[given.verb]() or 0


def _end(_signal: int, _frame: FrameType | None) -> None:
    raise KeyboardInterrupt


def main() -> int:
    """Run one verb; errors that a user can mend are printed without a traceback."""
    # `kill` and a CI's time limit tidy up like Ctrl-C.
    signal.signal(signal.SIGTERM, _end)
    cache = Cache(default_root())
    progress = Progress(cache.logs)
    shop = Workshop(Path(__file__).parent.parent, cache, progress)

    try:
        return act(shop, parser().parse_args())
    except ClusterError as error:
        print(f"\n{error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        shell.stop_all()
        print("\ninterrupted; run it again to go on from here", file=sys.stderr)
        return INTERRUPTED
    finally:
        progress.append_to(cache.timings)


if __name__ == "__main__":
    sys.exit(main())
