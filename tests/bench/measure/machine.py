"""Describe the machine on which the benchmark runs."""

import os
import platform
import re
import shutil
import subprocess
import time
from importlib.metadata import version
from pathlib import Path

from bench.arena import REPOSITORY, Arena
from bench.measure.kube_api import KubeApi
from bench.results import Machine
from cluster.release import NAMESPACE


async def describe(arena: Arena, kube: KubeApi, *, quick: bool) -> Machine:
    """Return the machine and the software versions. The Python version is from the API's pod."""
    cores, pod = arena.cores, ("--namespace", NAMESPACE, "exec", "deploy/vision-node-api", "--")

    return Machine(
        processor=processor(),
        cores=os.cpu_count() or 0,
        system_cores=len(cores.system),
        driver_apart=cores.pinned,
        started=time.strftime("%Y-%m-%d %H:%M UTC", time.gmtime()),
        quick=quick,
        commit=commit(),
        versions={
            "Kubernetes": (await kube.get("/version"))["gitVersion"],
            "Python": _number(arena.client.kubectl_output(*pod, "python", "--version")),
            "Celery": version("celery"),
            "FastAPI": version("fastapi"),
            "Redis": _number(_output("redis-server", "--version")),
        },
    )


def processor() -> str:
    """Return the model name of the processor, or the architecture if the name is unknown."""
    found = re.search(r"^model name\s*: (.*)$", Path("/proc/cpuinfo").read_text(), re.MULTILINE)
    return found[1] if found else platform.machine()


def commit() -> str:
    """Return the checkout's commit, or an empty string if it is unknown."""
    return _output("git", "-C", str(REPOSITORY), "describe", "--always", "--dirty")


def _output(*command: str) -> str:
    """Return the output of a command, or an empty string if it fails or is not installed."""
    if not shutil.which(command[0]):
        return ""
    done = subprocess.run(command, check=False, capture_output=True, text=True)
    return done.stdout.strip() if done.returncode == 0 else ""


def _number(text: str) -> str:
    found = re.search(r"\d+(\.\d+)+", text)
    return found[0] if found else text
