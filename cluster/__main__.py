"""The command line: `python3 -m cluster <verb>`."""

import argparse
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from types import FrameType

from cluster import commands, demo
from cluster.artifacts import debian
from cluster.artifacts.cache import Cache, default_root
from cluster.context import BuildContext
from cluster.errors import ClusterError
from cluster.run import shell
from cluster.run.progress import Progress

INTERRUPTED = 130

PORTS = range(1024, 65536)


def parser() -> argparse.ArgumentParser:
    """Return the parser for the verbs and their options."""
    root = argparse.ArgumentParser(prog="python3 -m cluster", description=__doc__)
    verbs = root.add_subparsers(dest="verb", required=True, metavar="verb")

    def verb(name: str, help_text: str) -> argparse.ArgumentParser:
        found = verbs.add_parser(name, help=help_text, description=help_text)
        found.add_argument(
            "--name", default=commands.DEFAULT_CLUSTER, help="name of the cluster (%(default)s)"
        )
        return found

    up = verb("up", "start a cluster with everything on it; rebuild only what changed")
    up.add_argument("--port", type=port, default=8000, help="local port of the API (%(default)s)")
    verb("status", "show what is running, the number of jobs by phase, and the newest jobs")
    verb("down", "delete the cluster and stop everything that was started for it")
    verb("env", "print the shell variables for the tools and the cluster")
    verb("images", "only build the images")
    verb("chromium", "install a browser for the browser tests (Debian, root)")
    verb("nginx", "install nginx for the tests that use a proxy (Debian, root)")
    verb("clean", "delete the clusters, the Docker engine in the cache, and the cache")
    dev = verb("dev", "run a component from the checkout against the running cluster")
    dev.add_argument("component", choices=commands.DEV_COMPONENTS)
    dev.add_argument("--port", type=port, default=8001, help="local port (%(default)s)")
    dev.add_argument("--describer", default="", help="for worker: the Describer to use")
    dev.add_argument("--file", type=Path, default=demo.PHOTO, help="for worker: image to describe")
    verb("tool", "get one tool and print its path").add_argument("tool")
    verb("version", "set the project's version everywhere").add_argument("version")
    test = verb("test", "run tests on a fresh cluster: test --suite e2e -- <pytest's arguments>")
    test.add_argument("--suite", action="append", choices=commands.SUITES, required=True)
    test.add_argument("arguments", nargs="*")

    for name, text in (
        ("uv", "run the pinned uv: uv -- <its arguments>"),
        ("run", "run a command that can use the tools and the cluster: run -- <command>"),
    ):
        verb(name, text).add_argument("arguments", nargs="*")

    return root


def port(text: str) -> int:
    """Parse a port on which a program without privileges may listen."""
    if not text.isdecimal() or int(text) not in PORTS:
        raise argparse.ArgumentTypeError(f"{text} is not a port from {PORTS[0]} to {PORTS[-1]}")
    return int(text)


def run_verb(ctx: BuildContext, options: argparse.Namespace) -> int:
    """Run the verb and return the exit status."""
    verbs: dict[str, Callable[[], int | None]] = {
        "up": lambda: commands.up(ctx, options.name, options.port),
        "down": lambda: commands.down(ctx, options.name),
        "status": lambda: commands.show_status(ctx, options.name),
        "dev": lambda: _dev(ctx, options),
        "test": lambda: commands.test(ctx, options.suite, options.arguments),
        "images": lambda: print(*commands.build_images(ctx).all, sep="\n"),
        "env": lambda: commands.env(ctx, options.name),
        "tool": lambda: print(commands.tool(ctx, options.tool)),
        "version": lambda: commands.set_version(ctx, options.name, options.version),
        "uv": lambda: commands.uv(ctx, options.name, options.arguments),
        "run": lambda: commands.run(ctx, options.name, options.arguments),
        "chromium": lambda: debian.chromium(ctx),
        "nginx": lambda: debian.nginx(ctx),
        "clean": lambda: commands.clean(ctx, options.name),
    }

    return verbs[options.verb]() or 0


def _dev(ctx: BuildContext, options: argparse.Namespace) -> int:
    # If the user closes the terminal, clean up as after Ctrl-C.
    if signal.getsignal(signal.SIGHUP) is signal.SIG_DFL:
        signal.signal(signal.SIGHUP, _interrupt)

    if options.component == commands.WORKER:
        return commands.dev_worker(ctx, options.name, options.describer, options.file)
    return commands.dev_component(ctx, options.name, options.component, options.port)


def _interrupt(_signal: int, _frame: FrameType | None) -> None:
    raise KeyboardInterrupt


def main() -> int:
    """Run one verb. Errors that the user can fix are printed without a traceback."""
    # After `kill`, or when a CI job reaches its time limit, clean up as after Ctrl-C.
    signal.signal(signal.SIGTERM, _interrupt)

    cache = Cache(default_root())
    progress = Progress(cache.logs)
    ctx = BuildContext(Path(__file__).parent.parent, cache, progress)

    try:
        return run_verb(ctx, parser().parse_args())
    except ClusterError as error:
        print(f"\n{error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        shell.stop_all()
        print("\nInterrupted. Run the same command again to continue.", file=sys.stderr)
        return INTERRUPTED
    finally:
        progress.append_to(cache.timings)


if __name__ == "__main__":
    sys.exit(main())
