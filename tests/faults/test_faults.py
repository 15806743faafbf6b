"""Everything is killed while pictures come in, and every promise is kept."""

import asyncio
import time
from collections.abc import Callable

import httpx
from vision_node_contract.kube import Kube

from faults import rig
from faults.history import History, Json, Submit, check
from faults.load import PER_SECOND, Load, pictures
from faults.observer import Observer
from faults.plan import RUN_SECONDS, plan
from faults.sabotage import Saboteur
from faults.summary import summary

PATIENCE_SECONDS = 60.0
"""After the last fault all must end within this: a hung image has two attempts of a few seconds each."""

AFTERWARDS_SECONDS = 5.0
"""The load goes on for so long after the last fault, to show that images are described again."""

LOOK_SECONDS = 0.1


async def test_promises_hold_under_faults(url: str, node: str, seed: int) -> None:
    print(f"\nmake test-faults SEED={seed}")
    work = pictures(seed, int((RUN_SECONDS + AFTERWARDS_SECONDS) * PER_SECOND))
    async with Kube.connect() as kube, httpx.AsyncClient(base_url=url, timeout=10) as http:
        await rig.use_faulty_describer(kube)
        await rig.fill_inbox(work)
        observer, load = Observer(kube), Load(f"run-{seed}-{int(time.time())}", http, kube)
        saboteur = Saboteur(kube, node)
        watching = asyncio.create_task(observer.run())
        await until(lambda: observer.ready, PATIENCE_SECONDS)
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(load.run(work))
            tasks.create_task(saboteur.run(plan(seed)))
        last = max(at + fault.seconds for at, fault in saboteur.injected)
        submitted = {submit.job for submit in load.submits}
        await until(lambda: not observer.unfinished(submitted), PATIENCE_SECONDS)
        watching.cancel()
        history = History(load.submits, observer.seen, last_fault=last, patience=PATIENCE_SECONDS)
        history.results = await results(http, load.submits)
        history.objects = await rig.objects()
    print(summary(history, saboteur.injected, load.retries))
    broken = check(history)
    assert not broken, f"{len(broken)} promises broken; again with SEED={seed}:\n" + "\n".join(broken[:50])


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
