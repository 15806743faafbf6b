"""Where it is measured."""

import os
import platform
import re
import subprocess
import time
from importlib.metadata import version
from pathlib import Path

from bench.arena import REPOSITORY, Arena
from bench.measure.kube_api import KubeApi
from bench.results import Machine
from cluster.release import NAMESPACE


async def describe(arena: Arena, kube: KubeApi, *, quick: bool) -> Machine:
    """What a reader has to know about the machine and the versions; Python's is that of the API's pod."""
    cores, pod = arena.cores, ("--namespace", NAMESPACE, "exec", "deploy/vision-node-api", "--")
    return Machine(
        processor=processor(),
        cores=os.cpu_count() or 0,
        system_cores=len(cores.system),
        driver_apart=cores.pinned,
        started=time.strftime("%Y-%m-%d %H:%M UTC", time.gmtime()),
        quick=quick,
        commit=_said("git", "-C", str(REPOSITORY), "describe", "--always", "--dirty"),
        versions={
            "Kubernetes": (await kube.get("/version"))["gitVersion"],
            "Python": _number(arena.client.kubectl_output(*pod, "python", "--version")),
            "Celery": version("celery"),
            "FastAPI": version("fastapi"),
            "Redis": _number(_said("redis-server", "--version")),
        },
    )


def processor() -> str:
    """Its model."""
    found = re.search(r"^model name\s*: (.*)$", Path("/proc/cpuinfo").read_text(), re.MULTILINE)
    return found[1] if found else platform.machine()


def _said(*command: str) -> str:
    """What the command prints; nothing if it fails: it is only told to the reader."""
    done = subprocess.run(command, check=False, capture_output=True, text=True)
    return done.stdout.strip() if done.returncode == 0 else ""


def _number(text: str) -> str:
    found = re.search(r"\d+(\.\d+)+", text)
    return found[0] if found else text
