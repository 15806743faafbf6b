"""Keep Python's garbage collection away from what a process loads at its start."""

import gc


def freeze_garbage_collection() -> None:
    """Exclude what exists now from garbage collection.

    A complete collection would otherwise take 0.1 s to look at all modules again, and nothing else
    is done meanwhile.
    """
    gc.collect()
    gc.freeze()
