"""Everything is killed while pictures come in, and every promise is kept."""

import asyncio
import random
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import httpx
import pytest
from vision_node_contract.clients.kube import Kube

from faults import rig
from faults.history import History, Json, Submit, check
from faults.load import PER_SECOND, Load, Picture, good, hanging, pictures
from faults.observer import Observer
from faults.plan import RUN_SECONDS, plan
from faults.sabotage import FIND_SECONDS, Saboteur
from faults.summary import summary

PATIENCE_SECONDS = 60.0
"""After the last fault all must end within this: a hung image has two attempts of TIMEOUT_SECONDS
each."""

AFTERWARDS_SECONDS = 5.0
"""The load goes on for so long after the last fault, to show that images are described again."""

AT_ONCE_PER_SECOND = 100.0

ENDING_SECONDS = 30.0
"""A retired worker ends well before its grace period (90 s), although its threads never do."""

LOOK_SECONDS = 0.1


@pytest.mark.parametrize("spec", [{}, {"timeoutSeconds": 1}], ids=["usual", "impatient"])
async def test_workers_whose_every_slot_hangs_are_replaced_and_end(
    url: str, spec: dict[str, int]
) -> None:
    work = [*hanging(rig.WORKERS * rig.CONCURRENCY, **spec), good(1, random.Random(0))]  # noqa: S311
    async with Kube.connect("faults") as kube, httpx.AsyncClient(base_url=url, timeout=10) as http:
        async with running(kube, http, work, f"hang-{len(spec)}") as (load, observer):
            await load.run(work, AT_ONCE_PER_SECOND)
            await all_ended(load, observer)
        hung = {seen.status["worker"] for seen in observer.seen if seen.status["phase"] == "failed"}
        await rig.workers_gone(kube, hung, ENDING_SECONDS)

    history = History(load.submits, observer.seen)
    ends = [seen[-1].status for seen in history.of_jobs().values()]
    reasons = Counter(status.get("error", {}).get("reason", status["phase"]) for status in ends)
    assert reasons == {"AttemptsExhausted": len(work) - 1, "done": 1}


async def test_promises_hold_under_faults(
    url: str, node: str, seed: int, capsys: pytest.CaptureFixture[str]
) -> None:
    with capsys.disabled():
        print(f"\nSEED={seed}")

    work = pictures(seed, int((RUN_SECONDS + FIND_SECONDS + AFTERWARDS_SECONDS) * PER_SECOND))
    async with Kube.connect("faults") as kube, httpx.AsyncClient(base_url=url, timeout=10) as http:
        saboteur = Saboteur(kube, node)
        async with running(kube, http, work, str(seed)) as (load, observer):
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(load.run(work))
                await saboteur.run(plan(seed))
                await asyncio.sleep(AFTERWARDS_SECONDS)
                load.enough = True

            await all_ended(load, observer)

        last = max(at + fault.seconds for at, fault in saboteur.injected)
        history = History(load.submits, observer.seen, last_fault=last, patience=PATIENCE_SECONDS)
        history.results = await results(http, load.submits)
        history.objects = await rig.objects()

    with capsys.disabled():
        print(summary(history, saboteur.injected, load.retries))

    broken = check(history)
    assert not broken, f"{len(broken)} promises broken; again with SEED={seed}:\n" + "\n".join(
        broken[:50]
    )


@asynccontextmanager
async def running(
    kube: Kube, http: httpx.AsyncClient, work: list[Picture], name: str
) -> AsyncIterator[tuple[Load, Observer]]:
    """Have workers that pictures can harm, and everything seen that becomes of ImageJobs."""
    await rig.have_faulty_describer(kube, http)
    await rig.fill_inbox(work)
    observer = Observer(kube)
    watching = asyncio.create_task(observer.run())
    await until(lambda: observer.ready, PATIENCE_SECONDS)
    yield Load(f"run-{name}-{int(time.time())}", http, kube), observer
    watching.cancel()


async def all_ended(load: Load, observer: Observer) -> None:
    submitted = {submit.job for submit in load.submits}
    await until(lambda: not observer.unfinished(submitted), PATIENCE_SECONDS)


async def results(http: httpx.AsyncClient, submits: list[Submit]) -> dict[str, Json | str]:
    """Read the result of each that must have one."""
    found: dict[str, Json | str] = {}
    for submit in submits:
        if submit.expected.phase == "done":
            answer = await http.get(f"/result/{submit.job}")
            found[submit.job] = answer.json() if answer.status_code == 200 else answer.text
    return found


async def until(good: Callable[[], bool], seconds: float) -> None:
    """Look until it is good, or for so many seconds: the checker says what is wrong then."""
    for _ in range(round(seconds / LOOK_SECONDS)):
        if good():
            return
        await asyncio.sleep(LOOK_SECONDS)
