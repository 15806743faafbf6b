"""decide() about Describers: how many workers, for how long, and what is said of them."""

import random
from datetime import datetime, timedelta
from typing import Any

import pytest
from vision_node_contract.describer import READY, DescriberStatus
from vision_node_operator.actions import Assign, Launch, Report, Retire
from vision_node_operator.decide import decide
from vision_node_operator.trouble import of_refusal
from world import NOW, POOL, SETTINGS, SPEC, TEMPLATE, World, at, pool_of

FOUR: Any = {"concurrency": 4, "maxWorkers": 5}


def launches(world: World, after: float = 0) -> int:
    return sum(word.startswith("launch") for word in world.decide(after))


@pytest.mark.parametrize(
    ("images", "seconds", "expected"),
    [
        (1, None, 1),
        (8, None, 1),
        (35, None, 3),
        (8, 0.05, 1),
        (100, 0.05, 1),
        (8, 0.5, 1),
        (8, 5.0, 2),
        (35, 5.0, 5),
        (10_000, 0.05, 5),
    ],
)
def test_workers_by_backlog_and_time_per_image(images: int, seconds: float | None, expected: int) -> None:
    """As many as work it off within two seconds, each of which holds four at once."""
    world = World()
    world.describer(**FOUR)
    for n in range(images):
        world.job(f"j{n}")
    if seconds:
        world.state.backlog.demand("metadata").measure(seconds)
    assert launches(world) == expected


def test_time_per_image_is_learnt_from_the_first_ends() -> None:
    world = World()
    for n in range(10):
        world.processing(f"j{n}", "w0", startTime=at(0))
        took = {"startTime": at(0), "completionTime": at(4)}
        world.job(f"j{n}", seen=4, phase="done", attempts=1, worker="w0", **took)
    assert world.state.backlog.demand("metadata").seconds == pytest.approx(4)
    assert (world.state.backlog.demand("metadata").unfinished, world.state.backlog.given["w0"]) == (0, 10)


def test_images_that_have_not_ended_tell_of_the_time_per_image_too() -> None:
    world = World()
    world.describer(concurrency=1)
    world.worker(0)
    world.processing("slow", "w0", attemptDeadline=at(60))
    world.job("next")
    assert launches(world, after=0.9) == 0
    assert launches(world, after=3) == 1


def test_a_worker_that_stays_busy_gets_a_second_one_beside_it() -> None:
    """Eight clients that submit one after the other never make a backlog."""
    world = World()
    world.describer(**FOUR)
    world.worker(0)
    world.state.backlog.demand("metadata").measure(0.05)
    for n in range(8):
        world.job(f"j{n}")
    for n in range(4):
        world.processing(f"j{n}", "w0", attemptDeadline=at(65))
    assert launches(world, after=0.5) == 0
    assert launches(world, after=5) == 1


class Clock:
    """A cluster in which launches take a second and images their time, moved on by tenths of a second."""

    def __init__(self, seconds: float, **spec: Any) -> None:
        self.world = World()
        self.world.describer(**spec)
        self.seconds = seconds
        self.time = 0.0
        self.serving: dict[int, float] = {}
        self.ends: list[tuple[float, str, str]] = []
        self.launched: list[float] = []
        self.made = 0

    def submit(self) -> None:
        self.made += 1
        self.world.state.observe("imagejobs", self._job(f"j{self.made}"), self.now)

    @property
    def now(self) -> datetime:
        return NOW + timedelta(seconds=self.time)

    def tick(self) -> None:
        self.time = round(self.time + 0.1, 1)
        for end, name, worker in [e for e in self.ends if e[0] <= self.time]:
            self.ends.remove((end, name, worker))
            done = {"phase": "done", "attempts": 1, "worker": worker}
            times = {"startTime": at(end - self.seconds), "completionTime": at(end)}
            self.world.state.observe("imagejobs", self._job(name, **done, **times), self.now)
        for slot in [slot for slot, ready in self.serving.items() if ready <= self.time]:
            self.world.lease(slot, self.time)
        for action in decide(self.world.state, SETTINGS, self.now):
            self._perform(action)

    def _perform(self, action: Any) -> None:
        match action:
            case Launch():
                slot = int(action.name.rsplit("-", 1)[1])
                self.launched.append(self.time)
                self.serving[slot] = self.time + 1
                self.world.worker(slot, heard=None, created=self.time, uid=f"u{self.time}")
            case Retire():
                slot = int(action.name.rsplit("-", 1)[1])
                del self.serving[slot]
                for kind, name in (("jobs", action.name), ("pods", f"w{slot}"), ("leases", f"w{slot}")):
                    self.world.forget(kind, name, self.time)  # type: ignore[arg-type]
            case Assign():
                name = action.job.metadata.name
                held = {"phase": "processing", "attempts": 1, "worker": action.worker}
                deadline = {"startTime": at(self.time), "attemptDeadline": at(self.time + 60)}
                self.world.state.observe("imagejobs", self._job(name, **held, **deadline), self.now)
                self.ends.append((self.time + self.seconds, name, action.worker))

    def _job(self, name: str, **status: Any) -> Any:
        self.world.version += 1
        meta = {"name": name, "uid": name, "resourceVersion": str(self.world.version)}
        return {"metadata": meta, "spec": {"image": {"key": "images/1"}}, "status": status}


def test_a_noisy_load_does_not_make_workers_come_and_go() -> None:
    """Ten minutes of images at random, in bursts at random: three images at once on the average."""
    noise = random.Random(7)  # noqa: S311 (a load, not a secret)
    clock = Clock(seconds=0.5, concurrency=2, maxWorkers=4, idleSeconds=60)
    while clock.time < 600:
        if noise.random() < 0.1:
            for _ in range(noise.randint(1, 11)):
                clock.submit()
        clock.tick()
    assert clock.made > 3000
    assert len(clock.serving) in {2, 3, 4}
    assert len(clock.launched) <= 6
    assert max(clock.launched) < 120, "what the load takes is found out soon, and kept"


def test_a_burst_of_small_images_is_one_workers_and_it_goes_afterwards() -> None:
    clock = Clock(seconds=0.1, concurrency=4, maxWorkers=2, idleSeconds=60)
    for _ in range(8):
        clock.submit()
    while clock.time < 62:
        clock.tick()
    assert (clock.launched, clock.ends, clock.serving) == ([0.1], [], {})


def test_dedicated_is_a_job_for_each_image() -> None:
    world = World()
    world.describer(isolation="dedicated", concurrency=4, maxWorkers=3)
    for name in "abcde":
        world.job(name)
    assert launches(world) == 3
    for slot in range(3):
        world.worker(slot)
    assert world.decide() == ["assign a to w0", "assign b to w1", "assign c to w2"]
    world.processing("a", "w0")
    assert not [word for word in world.decide() if "w0" in word], "it holds one"
    world.job("a", phase="done", attempts=1, worker="w0", completionTime=at(0))
    assert [word for word in world.decide() if "0" in word] == ["retire vn-metadata-0"], "and is used up"
    world.forget("jobs", "vn-metadata-0")
    world.forget("pods", "w0")
    assert "launch vn-metadata-0" in world.decide()


def test_a_worker_is_given_no_more_than_it_may_have() -> None:
    world = World()
    world.describer(maxImagesPerWorker=3, concurrency=2, maxWorkers=1)
    world.worker(0)
    for n in range(5):
        world.job(f"j{n}", created=-9 + n)
    assert world.decide() == ["assign j0 to w0", "assign j1 to w0"]
    for name in ("j0", "j1"):
        world.processing(name, "w0")
        world.job(name, phase="done", attempts=1, worker="w0", completionTime=at(0))
    assert world.decide() == ["assign j2 to w0"]
    world.state.busy = {"imagejobs/j2": "w0"}
    assert world.decide() == [], "the assignment under way counts"
    world.state.busy = {}
    world.processing("j2", "w0")
    assert world.decide() == [], "it finishes what it holds"
    world.job("j2", phase="done", attempts=1, worker="w0", completionTime=at(0))
    assert world.decide() == ["retire vn-metadata-0"]


def test_after_a_restart_the_finished_ones_tell_what_a_worker_was_given() -> None:
    world = World()
    world.describer(maxImagesPerWorker=1, maxWorkers=1)
    world.worker(0)
    world.job("before", phase="done", attempts=1, worker="w0", completionTime=at(0))
    world.job("next")
    assert world.decide() == ["retire vn-metadata-0"]


def test_a_worker_that_ended_when_it_was_used_up_was_launched_well() -> None:
    world = World()
    world.worker(0, heard=-1)
    world.forget("leases", "w0")
    world.worker(0, heard=None, phase="Succeeded", job_status={"succeeded": 1})
    assert world.state.fleet.failures == {}


def test_a_change_of_the_describer_replaces_workers_that_hold_nothing() -> None:
    world = World()
    world.worker(0)
    world.worker(1)
    world.processing("j", "w1")
    assert world.decide(model="another") == ["retire vn-metadata-0"]
    assert world.decide(minWorkers=0) == [], "not every change concerns the workers"


def test_a_mended_describer_is_tried_at_once() -> None:
    world = World()
    world.see("describers", "metadata", spec={**SPEC, "image": "broken"})
    world.state.fleet.launch_after["metadata"] = NOW + timedelta(seconds=60)
    world.job("j")
    world.see("describers", "metadata", spec={**SPEC, "image": "broken", "maxWorkers": 1})
    assert world.decide() == []
    world.see("describers", "metadata", spec={**SPEC, "image": "mended"})
    assert world.decide() == ["launch vn-metadata-0"]


def test_a_deleted_describer() -> None:
    world = World()
    world.worker(0)
    world.worker(1)
    world.processing("held", "w1", attemptDeadline=at(999))
    world.job("queued", created=-1000)
    world.see("describers", "metadata", spec=SPEC)
    world.forget("describers", "metadata")
    assert world.decide(after=60) == ["retire vn-metadata-0"], "it may be replaced: its jobs have a minute"
    assert world.decide(after=61) == ["fail queued DescriberNotFound", "retire vn-metadata-0"]


def test_timeout_and_attempts_are_the_describers_unless_the_job_says() -> None:
    world = World()
    world.describer(timeoutSeconds=7, maxAttempts=1)
    world.worker(0)
    world.job("a", created=-2)
    world.job("b", created=-1, spec={"timeoutSeconds": 5, "maxAttempts": 2})
    given = [action for action in decide(world.state, SETTINGS, NOW) if isinstance(action, Assign)]
    assert [action.timeout.total_seconds() for action in given] == [7, 5]
    for name, spec in (("a", {}), ("b", {"maxAttempts": 2})):
        world.job(name, spec=spec, phase="processing", attempts=4, losses=3, worker="gone")
    assert {word for word in world.decide() if "w0" not in word} >= {
        "fail a AttemptsExhausted",
        "requeue b WorkerLost +4",
    }


def ready(status: str, reason: str, since: float = 0, message: str = "m") -> Any:
    condition = {"type": READY, "status": status, "reason": reason, "message": message}
    return {"conditions": [{**condition, "lastTransitionTime": at(since)}]}


@pytest.mark.parametrize(
    ("since", "created", "began", "fails"),
    [
        (-3600, -3600, -600, True),
        (-3599, -9999, -9999, False),
        (-9999, -3599, -9999, False),
        (-9999, -9999, -599, False),
    ],
)
def test_no_job_waits_for_ever(since: float, created: float, began: float, *, fails: bool) -> None:
    """An hour after the last worker served, and ten minutes after this operator began to try."""
    world = World()
    world.state.since = NOW + timedelta(seconds=began)
    world.job("j", created=created)
    world.describer(status=ready("False", "NoRoom", since))
    assert ("fail j NoWorker" in world.decide()) is fails


def test_while_workers_serve_a_job_may_wait_long() -> None:
    world = World()
    world.job("j", created=-99_999)
    world.describer(status=ready("True", "NoRoom", -99_999))
    assert "fail j NoWorker" not in world.decide()


UNSCHEDULABLE = {"conditions": [{"type": "PodScheduled", "reason": "Unschedulable", "message": "0/1 nodes"}]}
NO_IMAGE = {"containerStatuses": [{"state": {"waiting": {"reason": "ErrImagePull", "message": "denied"}}}]}
NO_SECRET = {"containerStatuses": [{"state": {"waiting": {"reason": "CreateContainerConfigError"}}}]}
STARTS = {"containerStatuses": [{"state": {"waiting": {"reason": "ContainerCreating"}}}]}


@pytest.mark.parametrize(
    ("worker", "expected"),
    [
        (None, ("False", "Starting", "no worker serves yet")),
        ({"heard": None, "pod_status": STARTS}, ("False", "Starting", "no worker serves yet")),
        ({"heard": -1}, ("True", "Serving", "images are described")),
        ({"heard": None, "pod_status": UNSCHEDULABLE}, ("False", "NoRoom", "0/1 nodes")),
        ({"heard": None, "pod_status": NO_IMAGE}, ("False", "ImagePullFailed", "ErrImagePull: denied")),
        (
            {"heard": None, "pod_status": NO_SECRET},
            ("False", "LaunchFailed", "CreateContainerConfigError: "),
        ),
        ({"heard": None, "pod": False, "created": -9}, ("False", "Starting", "no worker serves yet")),
    ],
)
def test_what_is_said_while_work_waits(worker: Any, expected: Any) -> None:
    world = World()
    if worker:
        world.worker(0, **worker)
    world.job("j")
    report = world.report()
    assert report is not None
    condition = report.status.readiness
    assert condition is not None
    assert (condition.status, condition.reason, condition.message) == expected
    assert report.tell is (condition.reason not in {"Starting", "Serving"})


def test_a_pod_that_is_not_made() -> None:
    world = World()
    world.worker(0, pod=False, heard=None, created=-11)
    world.job("j")
    report = world.report()
    assert reason(report) == "NoRoom"
    assert report is not None
    assert report.status.readiness is not None
    assert "kubectl describe job vn-metadata-0" in report.status.readiness.message


def test_without_room_it_goes_on_with_what_it_has() -> None:
    world = World()
    world.worker(0)
    world.worker(1, heard=None, pod_status=UNSCHEDULABLE)
    world.state.backlog.demand("metadata")
    for n in range(99):
        world.job(f"j{n}")
    report = world.report()
    assert report is not None
    condition = report.status.readiness
    assert condition is not None
    assert (condition.status, condition.reason) == ("True", "NoRoom")
    assert "0/1 nodes" in condition.message
    assert "assign j0 to w0" in world.decide()


def said(world: World, after: float = 0) -> Report | None:
    """Have what is said written."""
    report = world.report(after)
    if report:
        world.state.reported["metadata"] = NOW + timedelta(seconds=after)
        world.describer(status=report.status.to_json())
    return report


def test_it_is_said_once_and_at_most_every_five_seconds() -> None:
    world = World()
    first = said(world)
    assert first is not None
    assert first.status.readiness is not None
    assert first.status.readiness.reason == "Idle"
    assert said(world, 60) is None, "nothing has changed"
    world.job("a")
    assert said(world, 60) is not None
    world.job("b")
    assert said(world, 64.9) is None
    second = said(world, 65)
    assert second is not None
    assert (second.status.queued, second.tell) == (2, False)


def test_an_event_tells_of_trouble_and_of_its_end_once() -> None:
    world = World()
    world.job("j")
    world.worker(0, heard=None, pod_status=UNSCHEDULABLE)
    reports = [said(world)]
    world.job("k")
    reports.append(said(world, 10))
    world.worker(0, heard=20)
    reports.append(said(world, 20))
    assert [report.tell for report in reports if report] == [True, False, True]


def test_since_when_it_does_not_serve_outlives_another_reason() -> None:
    world = World()
    world.job("j")
    world.describer(status=ready("False", "Starting", -500))
    world.worker(0, heard=None, pod_status=NO_IMAGE)
    report = world.report()
    assert report is not None
    assert report.status.readiness is not None
    assert report.status.readiness.last_transition_time == NOW - timedelta(seconds=500)


def test_a_refused_launch_is_told_until_one_succeeds_or_it_is_long_ago() -> None:
    world = World()
    world.job("j")
    refusal = of_refusal('jobs.batch "x" is forbidden: exceeded quota: tight'), NOW
    for after, expected in ((0, "NoRoom"), (119, "NoRoom"), (120, "Starting")):
        world.state.fleet.troubles = {"metadata": refusal}
        assert reason(world.report(after)) == expected
    world.state.fleet.troubles = {"metadata": refusal}
    world.worker(0, heard=None, created=0)
    assert reason(world.report()) == "Starting"


def test_why_workers_end_is_told() -> None:
    world = World()
    world.job("j")
    ended = {"terminated": {"exitCode": 1, "reason": "Error", "message": "no key"}}
    status = {"containerStatuses": [{"state": ended}]}
    for job_status in ({}, {"failed": 1}):  # Kubernetes sees a Job's end by its pod's
        world.worker(0, heard=None, phase="Failed", pod_status=status, job_status=job_status)
    report = world.report()
    assert report is not None
    assert report.status.readiness is not None
    assert reason(report) == "LaunchFailed"
    assert report.status.readiness.message == "a worker ended with exit code 1: no key"


def reason(report: Report | None) -> str:
    assert report is not None
    assert report.status.readiness is not None
    return report.status.readiness.reason


def test_counts() -> None:
    world = World()
    world.worker(0)
    world.worker(1, heard=None, job_status={"failed": 1}, phase="Failed")
    world.processing("held", "w0")
    world.job("waits", nextAttemptTime=at(50), attempts=1)
    world.job("of another", spec={"describer": "other"})
    report = world.report()
    assert report is not None
    found = DescriberStatus(provider="metadata", workers=1, ready=1, queued=1, processing=1)
    assert report.status.model_copy(update={"conditions": []}) == found


def test_a_failure_is_announced_when_it_is_seen_to_happen() -> None:
    world = World()
    world.job("old", phase="failed", completionTime=at(0))
    world.job("good", phase="processing", worker="gone")
    world.job("bad", phase="processing", worker="gone")
    world.job("good", phase="done", completionTime=at(0))
    world.job("bad", phase="failed", completionTime=at(0))
    assert list(world.state.backlog.failed) == ["bad"]
    assert "announce" in world.decide()


def test_a_describer_adds_to_the_pod_template() -> None:
    env = [{"name": "MODE", "value": "fast"}, {"name": "KEPT", "value": "yes"}]
    ours = {"name": "worker", "image": "ours", "env": [{"name": "MODE", "value": "slow"}]}
    key = {"name": "KEY", "valueFrom": {"secretKeyRef": {"name": "keys", "key": "openai"}}}
    spec = {
        "provider": "openai",
        "model": "gpt-x",
        "options": {"detail": "high"},
        "image": "theirs",
        "command": ["run"],
        "env": [*env, key],
        "envFrom": [{"secretRef": {"name": "more"}}],
        "resources": {"limits": {"memory": "2Gi", "cpu": 2}},
        "podAnnotations": {"a": "b"},
        "nodeSelector": {"disk": "ssd"},
        "tolerations": [{"key": "gpu", "operator": "Exists"}],
    }
    base = {"spec": {"containers": [ours]}}
    made = pool_of({"metadata": {"name": "mine"}, "spec": spec}, base).pod_template
    (container,) = made["spec"]["containers"]
    variables = {variable["name"]: variable for variable in container["env"]}
    assert variables["MODE"] == {"name": "MODE", "value": "fast"}
    assert variables["KEY"] == key
    told = [variables[name]["value"] for name in ("DESCRIBER", "PROVIDER", "MODEL", "DESCRIBER_OPTIONS")]
    assert told == ["mine", "openai", "gpt-x", '{"detail": "high"}']
    assert (container["image"], container["command"]) == ("theirs", ["run"])
    assert container["resources"]["limits"] == {"memory": "2Gi", "cpu": 2}
    assert container["envFrom"] == [{"secretRef": {"name": "more"}}]
    assert made["metadata"]["annotations"] == {"a": "b"}
    assert made["spec"]["nodeSelector"] == {"disk": "ssd"}
    assert made["spec"]["tolerations"] == [{"key": "gpu", "operator": "Exists"}]
    assert ours["image"] == "ours", "the base is for all"


def test_which_changes_replace_workers() -> None:
    def template_hash(**spec: Any) -> str:
        return pool_of({"metadata": {"name": "metadata"}, "spec": {**SPEC, **spec}}, TEMPLATE).template_hash

    same = {"minWorkers": 1, "maxWorkers": 9, "idleSeconds": 5}
    assert template_hash(**same) == POOL.template_hash
    others: Any = {"model": "m", "options": {"a": 1}, "concurrency": 3, "isolation": "dedicated"}
    others |= {"timeoutSeconds": 5, "maxAttempts": 1}
    assert len({template_hash(**{name: value}) for name, value in others.items()} | {POOL.template_hash}) == 7
