"""Tests that terminating `make` also terminates the program that a recipe runs."""

import signal
import subprocess
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).parents[4]

FAKE_PYTHON = """#!/bin/sh
trap 'echo ended; exit 0' TERM
echo $$ >"{pid_file}"
echo started
while :; do sleep 0.05; done
"""


@pytest.mark.parametrize("target", [["dev", "PART=api"], ["bench"], ["bench-operator"]])
def test_sigterm_to_make_reaches_the_program(target: list[str], tmp_path: Path) -> None:
    program = tmp_path / "python"
    program.write_text(FAKE_PYTHON.format(pid_file=tmp_path / "pid"))
    program.chmod(0o755)

    command = ["make", *target, f"PYTHON={program}"]
    with subprocess.Popen(command, cwd=REPOSITORY, stdout=subprocess.PIPE, text=True) as make:
        assert make.stdout
        assert make.stdout.readline() == "started\n"

        make.send_signal(signal.SIGTERM)
        try:
            assert make.communicate(timeout=10)[0] == "ended\n"
        finally:
            subprocess.run(["kill", "-9", (tmp_path / "pid").read_text().strip()], check=False)
