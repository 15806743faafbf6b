"""Describe a folder, stage by stage. Every stage can be interrupted and continued."""

import errno
from collections.abc import Iterable
from pathlib import Path

from ...async_client import AsyncVisionNode
from ...errors import ProblemError
from ...folder import find_images
from ...models import Batch, Part, Result
from ...options import BatchOptions
from ...protocol.lines import GONE
from ...protocol.readers import result as read_result
from ..exit_codes import UsageError
from .journal import Journal, JournalFile, Stage
from .reporter import Reporter
from .result_file import ResultFile
from .sending import Sending
from .sidecar import write_sidecar

NOTHING_FAILED = "NothingFailed"
"""Reason if no image of a batch has failed. Those that a cancelled batch did not describe have not,
so the command would otherwise be refused forever."""

_NO_SIDECAR = frozenset({errno.ENAMETOOLONG, errno.ENOENT, errno.ENOTDIR})
"""Errors if a name is too long with the suffix, or the image's folder has been removed."""


class FolderRun:
    """Describes the images of a folder.

    Args:
        node: The server.
        journal: The state of the run.
        file: Where the journal is saved.
        results: Where the results are written.
        reporter: Tells the user what happens.
        has_sidecars: Whether to write each result next to its image, too.
    """

    def __init__(
        self,
        node: AsyncVisionNode,
        journal: Journal,
        file: JournalFile,
        results: ResultFile,
        reporter: Reporter,
        *,
        has_sidecars: bool,
    ) -> None:
        self._node = node
        self._journal = journal
        self._file = file
        self._results = results
        self._reporter = reporter
        self._has_sidecars = has_sidecars
        self._folder = Path(journal.folder)

    async def run(self) -> None:
        """Do all that is left to do.

        Raises:
            VisionNodeError: The server refused a request, or did not respond.
            OSError: A file can't be read or written.
        """
        self._file.save(self._journal)
        try:
            if self._journal.batch is not None:
                await self._find_batch()
            if self._journal.stage == "sending":
                await self._send()
            if self._journal.stage == "starting":
                await self._start()
            if self._journal.stage == "retrying":
                await self._retry()
            if self._journal.stage == "following":
                await self._follow()
        finally:
            self._save()

    async def _send(self) -> None:
        arrived = await self._arrived()
        batch = self._journal.batch or await self._create()
        await Sending(self._node, self._journal, self._file, self._reporter).run(batch, arrived)

        if len(self._journal.sent) > len(self._journal.refused):
            self._enter("starting")
        else:
            await self._node.delete(batch)
            self._begin_results()
            self._enter("finished")

    async def _create(self) -> str:
        options: BatchOptions = {**self._journal.options}  # type: ignore[typeddict-item]
        created = await self._node.create_upload(key=self._journal.key, **options)
        self._journal.batch, self._journal.uid = created.name, created.uid
        self._save()
        self._reporter.say(f"Sending the images to the batch {created.name}.")

        return created.name

    async def _arrived(self) -> dict[str, int]:
        """Return the size of each image that the server has received from former runs."""
        if self._journal.batch is None:
            return {}

        images = self._node.uploaded_images(self._journal.batch)
        return {it.custom_id: it.size async for it in images}

    async def _find_batch(self) -> None:
        """Find the batch of a former run. If it is gone before it was started, begin again.

        Raises:
            UsageError: Another batch has its name.
            VisionNodeError: The server refused the request, or did not respond.
        """
        has_started = self._journal.stage in {"following", "retrying"}
        try:
            found = await self._node.batch(self._batch)
        except ProblemError as problem:
            if problem.reason != GONE or has_started:
                raise
        else:
            if self._is_own(found):
                return
            if has_started:
                raise self._replaced()

        self._reporter.warn(
            f"The batch {self._journal.batch} was not started in time, or deleted. All images are "
            "sent again."
        )
        self._journal.begin_again()

    def _is_own(self, batch: Batch) -> bool:
        return self._journal.uid in {None, batch.uid}

    def _replaced(self) -> UsageError:
        return UsageError(
            f"the server has another batch named {self._journal.batch} now, so the one of this run "
            "can't be continued; choose another --out"
        )

    async def _start(self) -> None:
        await self._node.start(self._batch)
        self._enter("following")

    async def _retry(self) -> None:
        """Create a batch of what failed, and remove the lines of these images."""
        try:
            created = await self._node.retry(self._batch, key=self._journal.key)
        except ProblemError as problem:
            if problem.reason != NOTHING_FAILED:
                raise
            self._reporter.warn(problem.detail)
            self._enter("finished")
            return

        self._reporter.say(f"Describing the failed images again in the batch {created.name}.")
        self._results.drop_failed(self._journal.refused)

        self._journal.batch, self._journal.after = created.name, 0
        self._journal.uid, self._journal.is_retry = created.uid, True
        self._journal.length = self._results.length
        self._journal.failed = len(self._journal.refused)
        self._enter("following")

    async def _follow(self) -> None:
        self._results.cut(self._journal.length)
        if self._journal.length == 0:
            self._begin_results()

        total = len(self._journal.sent.keys() | self._journal.refused.keys())
        with self._reporter.progress("describing", self._journal.ended, total) as bar:
            while True:
                parts = self._node.result_parts(self._batch, after=self._journal.after, follow=True)
                async for part in parts:
                    self._write(part)
                    bar.update(len(part.results))

                batch = await self._node.batch(self._batch)
                if not self._is_own(batch):
                    raise self._replaced()
                if batch.finished and self._journal.after >= batch.parts:
                    break

        if batch.error is not None:
            self._reporter.warn(f"The batch failed: {batch.error.reason}: {batch.error.message}")
            self._journal.failed = max(self._journal.failed, total - self._journal.done)
        if self._journal.is_retry:
            self._add_missing()
        self._enter("finished")

    def _add_missing(self) -> None:
        """Write a line for each image that failed and could not be described again.

        The server leaves out images that it no longer has. Their former lines have been removed.
        """
        written = self._results.names()
        name_of = self._results.format.name_of
        lost = sorted(it for it in self._journal.sent if name_of(it) not in written)

        reason, message = "ImageGone", "the server could not describe it again"
        lines = [_error(it, reason, message) for it in lost]
        self._results.append([self._results.format.line(it) for it in lines])
        self._journal.length = self._results.length
        # Another attempt would not find them, either.
        self._journal.refused |= {it: [reason, message] for it in lost}
        self._journal.failed = max(
            self._journal.failed, len(self._journal.sent) - self._journal.done
        )

    def _begin_results(self) -> None:
        """Write the header, and the lines of files that were refused."""
        refused = [
            _error(name, reason, message)
            for name, (reason, message) in sorted(self._journal.refused.items())
        ]
        written_as = self._results.format
        self._results.append([written_as.header, *map(written_as.line, refused)])
        self._results.sync()
        self._journal.length, self._journal.failed = self._results.length, len(refused)
        self._save()

    def _write(self, part: Part) -> None:
        """Write a part. It counts once the journal says so."""
        self._results.append([self._results.format.line(it) for it in part.results])
        if self._has_sidecars:
            self._write_sidecars(part.results)

        described = sum(it.description is not None for it in part.results)
        self._journal.after, self._journal.length = part.after, self._results.length
        self._journal.done += described
        self._journal.failed += len(part.results) - described
        if self._file.is_due:
            self._save()

    def _write_sidecars(self, results: Iterable[Result]) -> None:
        for result in results:
            # The server could name any path. Only those that were sent are in the folder.
            if result.custom_id in self._journal.sent:
                self._write_sidecar(self._folder / result.custom_id, result)

    def _write_sidecar(self, image: Path, result: Result) -> None:
        try:
            write_sidecar(image, result)
        except OSError as error:
            # The next run would end here as well.
            if error.errno not in _NO_SIDECAR:
                raise
            self._reporter.warn(f"{result.custom_id} has no sidecar: {error.strerror}")

    @property
    def _batch(self) -> str:
        if self._journal.batch is None:
            raise ValueError("the journal names no batch")

        return self._journal.batch

    def _enter(self, stage: Stage) -> None:
        self._journal.stage = stage
        self._save()

    def _save(self) -> None:
        """Save the journal, after the results that it counts."""
        self._results.sync()
        self._file.save(self._journal)


def _error(custom_id: str, reason: str, message: str) -> Result:
    return read_result({"customId": custom_id, "error": {"reason": reason, "message": message}})


def report_changes(journal: Journal, reporter: Reporter) -> None:
    """Warn about images that are new or changed since they were sent. They keep their results.

    Raises:
        OSError: The folder can't be read.
    """
    new = changed = 0
    for image in find_images(Path(journal.folder)):
        new += image.custom_id not in journal.sent and image.custom_id not in journal.refused
        changed += journal.is_changed(image)

    if new or changed:
        reporter.warn(
            f"Since the images were sent, {new} are new and {changed} were changed. These are not "
            "described; to describe the folder as it is now, choose another --out."
        )
