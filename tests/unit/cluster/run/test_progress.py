"""Tests of the progress output, the step logs and parallel steps."""

import io
import json
import threading
from pathlib import Path

import pytest

from cluster.errors import ClusterError
from cluster.run import shell
from cluster.run.parallel import Parallel
from cluster.run.progress import Progress, current_log


@pytest.fixture
def output() -> io.StringIO:
    return io.StringIO()


@pytest.fixture
def progress(tmp_path: Path, output: io.StringIO) -> Progress:
    return Progress(tmp_path, output)


def test_step_prints_start_and_outcome(progress: Progress, output: io.StringIO) -> None:
    with progress.step("thing", outcome="built"):
        assert output.getvalue() == "▸ thing …\n"
    assert output.getvalue().splitlines()[1] == "✓ thing: built"


def test_failed_step_prints_failure(progress: Progress, output: io.StringIO) -> None:
    with pytest.raises(ClusterError), progress.step("thing"):
        raise ClusterError("no")
    # On a busy machine, the line may also contain the duration.
    assert output.getvalue().splitlines()[1].startswith("✗ thing: failed")


def test_note_prints_one_line(progress: Progress, output: io.StringIO) -> None:
    progress.note("thing", "cached")
    assert output.getvalue() == "✓ thing: cached\n"


def test_timings_are_appended_as_json_lines(progress: Progress, tmp_path: Path) -> None:
    progress.note("one", "cached")
    progress.append_to(tmp_path / "timings.jsonl")
    progress.append_to(tmp_path / "timings.jsonl")
    lines = (tmp_path / "timings.jsonl").read_text().splitlines()
    assert [json.loads(line)["step"] for line in lines] == ["one", "one"]


def test_command_output_goes_to_step_log(progress: Progress, tmp_path: Path) -> None:
    with progress.step("a thing/part"):
        shell.run(["echo", "hello"])
    assert (tmp_path / "a-thing-part.log").read_text() == "hello\n"
    assert current_log.get() is None


def test_failed_command_shows_end_and_path_of_log(progress: Progress) -> None:
    with pytest.raises(ClusterError) as caught, progress.step("thing"):
        shell.run(["sh", "-c", "seq 100; exit 3"])
    message = str(caught.value)
    assert "status 3" in message
    assert "    100\n" in message
    assert "    75\n" not in message
    assert "thing.log" in message


def test_missing_program_is_reported() -> None:
    with pytest.raises(ClusterError, match="no-such-program is not installed"):
        shell.run(["no-such-program"])


def test_pipe_fails_if_first_command_fails() -> None:
    with pytest.raises(ClusterError):
        shell.pipe(["false"], ["cat"])


def test_command_receives_input(progress: Progress, tmp_path: Path) -> None:
    with progress.step("thing"):
        shell.run(["cat"], text_in="hello")
    assert (tmp_path / "thing.log").read_text() == "hello"


def test_parallel_steps_return_results() -> None:
    with Parallel() as parallel:
        one, two = parallel.start(lambda: 1), parallel.start(lambda: "two")
    assert (one.get(), two.get()) == (1, "two")


def test_parallel_step_can_wait_for_another() -> None:
    with Parallel() as parallel:
        one = parallel.start(lambda: 1)
        two = parallel.start(lambda: one.get() + 1)
    assert two.get() == 2


def test_error_is_the_first_failure_and_not_the_error_of_a_stopped_step() -> None:
    started = threading.Event()

    def fail() -> None:
        started.wait()
        raise ClusterError("the cause")

    def sleep() -> None:
        started.set()
        shell.run(["sleep", "600"])

    def inner() -> None:
        """Fail, but leave the block only after the other step of the outer block has ended."""
        with Parallel() as parallel:
            parallel.start(fail)
            parallel.start(lambda: outer_ended.wait(60))

    def outer() -> None:
        try:
            sleep()
        finally:
            outer_ended.set()

    outer_ended = threading.Event()

    def both() -> None:
        with Parallel() as parallel:
            parallel.start(inner)
            parallel.start(outer)

    with pytest.raises(ClusterError, match="the cause"):
        both()


def test_first_failure_stops_parallel_commands() -> None:
    started = threading.Event()

    def fail() -> None:
        started.wait()
        raise ClusterError("the first")

    def sleep() -> None:
        started.set()
        shell.run(["sleep", "600"])

    def both() -> None:
        with Parallel() as parallel:
            parallel.start(fail)
            parallel.start(sleep)

    with pytest.raises(ClusterError, match="the first"):
        both()

    shell.run(["true"])
