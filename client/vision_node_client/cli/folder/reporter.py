"""Tell the user what happens: progress, warnings and a summary, all on stderr."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Never

from tqdm import tqdm

from ..terminal import safe_name


class Reporter:
    """Prints progress if stderr is a terminal, and messages.

    Args:
        is_quiet: Whether to print only warnings.
    """

    def __init__(self, *, is_quiet: bool = False) -> None:
        self._is_quiet = is_quiet

    @contextmanager
    def progress(self, verb: str, done: int, total: int) -> Iterator["tqdm[Never]"]:
        """Show a bar with the rate and the remaining time.

        Args:
            verb: What is done, such as `sending`.
            done: Number of images at the beginning.
            total: Number of all images.
        """
        # None: only if stderr is a terminal.
        disable = True if self._is_quiet else None
        with tqdm(
            desc=verb, initial=done, total=total, unit=" images", disable=disable, file=sys.stderr
        ) as bar:
            yield bar

    def say(self, text: str) -> None:
        """Print a message, unless the user wants quiet."""
        if not self._is_quiet:
            self.warn(text)

    def warn(self, text: str) -> None:
        """Print a message that the user must see."""
        tqdm.write(safe_name(text), file=sys.stderr)
