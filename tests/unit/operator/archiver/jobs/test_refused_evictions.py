"""Tests of ImageJobs that the API server refuses to delete when they are evicted."""

from datetime import timedelta

import pytest
from archive_place import IMAGES, Place
from archiver_helpers import until

WEBHOOK = (403, 'admission webhook "no.example" denied the request: keep it')
RIGHTS = (403, 'imagejobs "j" is forbidden: User "archiver" cannot delete resource "imagejobs"')

REFUSALS = {"webhook": WEBHOOK, "rights": RIGHTS, "invalid": (422, "the request is invalid")}


@pytest.mark.parametrize("refusal", REFUSALS.values(), ids=REFUSALS.keys())
async def test_refused_job_holds_up_no_others_and_may_be_deleted(
    place: Place, refusal: tuple[int, str]
) -> None:
    place.create_done("j", 3602)
    place.create_done("other", 3601)
    place.api.refuses["j"] = refusal
    async with place.archiver() as jobs:
        await until(lambda: place.evicted == ["other"] and not jobs.deletions.busy)
        for number in range(3):
            place.create_done(f"later{number}", 3601)
            await until(lambda: len(place.api.deletes) == number + 2)  # noqa: B023 (awaited)
        attempts = {name: place.api.refused.count(name) for name in place.api.refused}
        assert attempts["j"] <= 3

        place.api.delete("j")
        await until(lambda: "j" not in place.names)
        await until(lambda: f"{IMAGES}j" not in place.s3.objects)


async def test_refusal_of_a_repeated_request_says_nothing_about_the_first_one(
    place: Place,
) -> None:
    place.create_done("j", 3601)

    async def refuse(name: str) -> None:
        place.api.refuses[name] = WEBHOOK

    place.api.after_delete = refuse
    place.api.loses_answers = 1
    async with place.archiver() as jobs:
        await until(lambda: place.api.refused == ["j"] and not jobs.deletions.busy)
        await until(lambda: not len(jobs.live) and not len(jobs.deletions))

    assert place.evicted == place.names == ["j"]
    assert f"{IMAGES}j" in place.s3.objects


async def test_refusal_leaves_the_mark_if_the_imagejob_may_have_been_evicted_before(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("vision_node_operator.archiver.history.marks.TAKE_OVER", timedelta(-1))
    place.create_done("j", 3500)
    async with place.archiver():
        await until(lambda: place.names == ["j"])
    place.execute("UPDATE jobs SET evicted_at = now()")
    place.api.refuses["j"] = RIGHTS

    async def lose(name: str) -> None:
        if name in place.api.bodies:
            place.api.delete(name, is_told=False)

    place.api.before_delete = lose
    async with place.archiver(imagejobs=timedelta(0)) as jobs:
        await until(lambda: bool(place.api.refused) and not jobs.deletions.busy)

    assert place.evicted == ["j"]


async def test_job_is_evicted_when_it_is_not_refused_anymore(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        "vision_node_operator.archiver.jobs.evictor.REFUSED_SECONDS", 0.01, raising=False
    )
    place.create_done("j", 3601)
    place.api.refuses["j"] = WEBHOOK
    async with place.archiver():
        await until(lambda: len(place.api.refused) >= 2)
        place.api.refuses.clear()
        await until(lambda: place.evicted == ["j"] and not place.api.bodies)
