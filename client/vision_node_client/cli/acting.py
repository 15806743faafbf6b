"""The commands that cancel, retry and delete jobs, and send their messages again."""

import argparse
from collections.abc import Callable

from ..errors import ProblemError
from ..sync_client import VisionNode
from .arguments import options_of
from .exit_codes import ExitCode, UsageError
from .terminal import safe, say_error

TEMPORARY = frozenset({429, 502, 503, 504})
"""Statuses of problems that are not about one job. The command ends with them."""

PAGE_JOBS = 100
"""Number of failed jobs that each request looks at, so that their new jobs are printed soon."""


def cancel_jobs(node: VisionNode, arguments: argparse.Namespace) -> ExitCode:
    """Cancel jobs, and print their states."""
    return each(arguments.jobs, lambda it: f"{it} {node.cancel_job(it).status}")


def delete_jobs(node: VisionNode, arguments: argparse.Namespace) -> ExitCode:
    """Delete jobs, and print their ids."""

    def delete(job: str) -> str:
        node.delete_job(job)
        return job

    return each(arguments.jobs, delete)


def redeliver_messages(node: VisionNode, arguments: argparse.Namespace) -> ExitCode:
    """Send the messages to the callbacks of jobs again, and print the messages' states."""
    return each(arguments.jobs, lambda it: f"{it} {node.redeliver(it).state}")


def retry_jobs(node: VisionNode, arguments: argparse.Namespace) -> ExitCode:
    """Retry jobs, and print the id of each new job, and that of the job that it repeats.

    Raises:
        UsageError: Neither ids nor a reason are given, or both.
    """
    if bool(arguments.jobs) == bool(arguments.reason):
        raise UsageError("give either ids of jobs, or --reason for all that have failed for it")
    if arguments.reason:
        return _retry_failed(node, arguments)

    changes = options_of(arguments)
    return each(arguments.jobs, lambda it: f"{node.retry_job(it, **changes).id} {it}")


def _retry_failed(node: VisionNode, arguments: argparse.Namespace) -> ExitCode:
    cursor, is_complete = None, True
    while True:
        found = node.retry_failed(
            arguments.reason,
            of_describer=arguments.of_describer,
            after=arguments.after,
            before=arguments.before,
            limit=PAGE_JOBS,
            cursor=cursor,
            **options_of(arguments),
        )
        for job in found.retried:
            print(safe(f"{job.id} {job.retry_of}"), flush=True)
        for refused in found.failed:
            say_error(f"{refused.id}: {refused.reason}: {refused.detail}")
            is_complete = False

        # A page that repeats itself makes no progress, for example because of a limit on jobs.
        if found.next_cursor in (None, cursor):
            return ExitCode.DONE if is_complete else ExitCode.REFUSED
        cursor = found.next_cursor


def each(ids: list[str], act: Callable[[str], str]) -> ExitCode:
    """Act on each id, and print what the action returns. Refusals don't stop the others."""
    code = ExitCode.DONE
    for job in ids:
        try:
            print(safe(act(job)), flush=True)
        except ProblemError as problem:
            if problem.status in TEMPORARY:
                raise
            say_error(f"{job}: {problem}")
            code = ExitCode.REFUSED

    return code
