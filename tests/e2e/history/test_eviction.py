"""Tests of jobs that are archived and then evicted from etcd: they are read as before."""

import json
from collections.abc import Callable

import pytest
from conftest import Kubectl

from history.quoting import FILLER_CHARACTERS, LARGE
from history.release_history import ReleaseHistory, image_with, new_word


def create(kubectl: Kubectl, describer: str, names: dict[str, str]) -> None:
    """Create ImageJobs by name, whose images have these keys."""
    common = {"apiVersion": "vision-node.dev/v1alpha1", "kind": "ImageJob"}
    items = [
        {
            **common,
            "metadata": {"name": name},
            "spec": {"image": {"key": key}, "describer": describer},
        }
        for name, key in names.items()
    ]
    manifest = {"apiVersion": "v1", "kind": "List", "items": items}
    kubectl("create", "-f", "-", input=json.dumps(manifest))


def stored(history: ReleaseHistory, word: str) -> str:
    """Store an image with this word in the inbox, and return its key."""
    file = {"file": ("image", image_with(word))}
    answer = history.api.post(f"/inbox/history/{word}.jpg", files=file)
    assert answer.is_success, answer.text
    return str(answer.json()["key"])


def test_evicted_job_is_read_listed_and_found_as_before(
    evicting: ReleaseHistory, quoting: str, refused: Callable[..., str]
) -> None:
    said, named = new_word(), new_word()
    job = evicting.describe(image_with(said), f"{named}.jpg", describer=quoting)
    before = evicting.status(job), evicting.result(job)
    assert before[1]["caption"] == f"It says {said}."

    row = evicting.until_evicted(job)
    assert "NotFound" in refused("get", "imagejob", job)
    assert (evicting.status(job), evicting.result(job)) == before
    assert row["image_key"] in evicting.objects()

    queries = (said, named, said[:-3], said.upper(), f"{named} {said}", f"says {said}")
    assert [query for query in queries if evicting.found(query) != [job]] == []
    assert evicting.found(f"{said} {new_word()}") == []


def test_list_has_live_and_evicted_jobs_once_and_newest_first(
    evicting: ReleaseHistory, quoting: str
) -> None:
    old = [evicting.describe(image_with(new_word()), describer=quoting) for _ in range(3)]
    for job in old:
        evicting.until_evicted(job)
    new = [evicting.describe(image_with(new_word()), describer=quoting) for _ in range(2)]

    listed = evicting.all_jobs(page=7)
    # Jobs that were created within the same second are in no particular order.
    names = [job["job_id"] for job in listed if job["job_id"] in {*old, *new}]
    assert (set(names[:2]), sorted(names[2:])) == (set(new), sorted(old))
    times = [job["created_at"] for job in listed]
    assert times == sorted(times, reverse=True)


def test_reused_name_means_the_live_job_and_then_the_newest_row(
    evicting: ReleaseHistory, quoting: str, kubectl: Kubectl
) -> None:
    name, first, second = f"reused-{new_word()}", new_word(), new_word()
    create(kubectl, quoting, {name: stored(evicting, first)})
    evicting.until_done(name)
    old = evicting.until_evicted(name)["uid"]

    create(kubectl, quoting, {name: stored(evicting, second)})
    live = evicting.live_uid(name)
    evicting.until_done(name)
    assert evicting.result(name)["caption"] == f"It says {second}."

    evicting.until_evicted(name, live)
    assert evicting.result(name)["caption"] == f"It says {second}."
    assert {row["uid"] for row in evicting.rows(name)} == {old, live}
    assert [evicting.found(word) for word in (first, second)] == [[name], [name]]


def test_idempotency_key_is_known_after_the_eviction(
    evicting: ReleaseHistory, quoting: str
) -> None:
    key, image, other = new_word(), image_with(new_word()), image_with(new_word())

    def outcome(data: bytes, prompt: str = "") -> tuple[int, str | None, str | None]:
        options = {"prompt": prompt} if prompt else {}
        answer = evicting.submit(data, key=key, describer=quoting, **options)
        return answer.status_code, answer.json().get("job_id"), answer.json().get("reason")

    status, job, _ = outcome(image)
    assert (status, bool(job)) == (202, True)
    expected = [(202, job, None), *[(422, None, "IdempotencyKeyReused")] * 2]
    assert [outcome(image), outcome(other), outcome(image, "other")] == expected

    evicting.until_evicted(str(job))
    assert [outcome(image), outcome(other), outcome(image, "other")] == expected
    assert evicting.live_uid(str(job)) is None


def test_large_result_moves_into_its_row(evicting: ReleaseHistory, quoting: str) -> None:
    data = image_with(new_word(), LARGE.decode())
    job = evicting.describe(data, describer=quoting)
    before = evicting.result(job)
    assert len(before["text"]) == FILLER_CHARACTERS

    row = evicting.until_evicted(job)
    assert row["result_key"] is None
    folder = f"results/{evicting.release_id}/{row['uid']}/"
    assert [key for key in evicting.objects() if key.startswith(folder)] == []
    assert evicting.result(job) == before


@pytest.fixture
def refusing(evicting: ReleaseHistory) -> str:
    """Make PostgreSQL refuse the result of one job, and return the job's name."""
    name = f"refused-{new_word()}"
    evicting.psql(
        "CREATE OR REPLACE FUNCTION refuse_result() RETURNS trigger LANGUAGE plpgsql AS $$ "
        f"BEGIN IF NEW.name = '{name}' AND NEW.result IS NOT NULL THEN "
        "RAISE EXCEPTION 'refused by a test' USING ERRCODE = '22021'; END IF; RETURN NEW; END $$;"
        "DROP TRIGGER IF EXISTS refuse_result ON images;"
        "CREATE TRIGGER refuse_result BEFORE INSERT ON images "
        "FOR EACH ROW EXECUTE FUNCTION refuse_result();"
    )
    return name


def test_refused_row_holds_up_no_other_row(
    evicting: ReleaseHistory, quoting: str, kubectl: Kubectl, refusing: str
) -> None:
    others = [f"beside-{new_word()}" for _ in range(5)]
    names = [others[0], refusing, *others[1:]]
    create(kubectl, quoting, {name: stored(evicting, new_word()) for name in names})
    try:
        rows = {name: evicting.until_archived(name) for name in names}
        evicting.until_evicted(refusing)
    finally:
        evicting.psql("DROP FUNCTION refuse_result() CASCADE;")

    errors = {name: row["archive_error"] for name, row in rows.items()}
    assert "SQLSTATE 22021" in errors.pop(refusing)
    assert errors == dict.fromkeys(others)
    assert evicting.status(refusing)["status"] == "done"
    assert 400 <= evicting.api.get(f"/result/{refusing}").status_code < 500
    assert evicting.result(others[-1])["caption"].startswith("It says planted")
