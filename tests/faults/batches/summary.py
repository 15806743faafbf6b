"""Summarize what happened to the ImageBatches of a run."""

from faults.batches.history import BatchHistory, Planned, reasons


def batch_summary(history: BatchHistory) -> str:
    """Return a report with the figures of each ImageBatch, and of the provider."""
    lines = [_line(history, batch) for batch in history.planned]
    again = sum(history.asked.values()) - len(history.asked)

    return "\n".join(
        [
            *lines,
            f"the provider was asked for {len(history.asked)} images, and {again} times again "
            f"({history.allowed_again} may have been in flight during faults)",
        ]
    )


def _line(history: BatchHistory, batch: Planned) -> str:
    observations = history.of(batch)
    if not observations:
        return f"{batch.name}: never seen"

    status = observations[-1].status
    total, done, failed = observations[-1].counts
    seconds = next((it.at for it in observations if it.ended), float("inf")) - observations[0].at
    after = seconds + observations[0].at - history.last_fault
    why = ", ".join(f"{n} {it}" for it, n in sorted(reasons(history.lines(batch)).items()))
    failures = f" ({why})" if why else ""

    return (
        f"{batch.name}: {status['phase']}, {done} of {total} described, {failed} failed{failures}, "
        f"in {seconds:.1f} s, {after:+.1f} s from the last fault; "
        f"{len(observations)} states were observed"
    )
