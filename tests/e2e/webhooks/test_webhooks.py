"""Messages about jobs and batches arrive, are signed, and survive a restart of the archiver."""

import base64
import hashlib
import hmac
import json
import uuid
from collections.abc import Callable
from pathlib import Path

import httpx
import pytest
from conftest import FAST_DESCRIBER, Kubectl, wait_for
from vision_node_contract.json_types import Json

from webhooks.conftest import RELEASE, ReceiverPod

ARCHIVER = f"deployment/{RELEASE}-archiver"


def is_signed(found: Json, secret: str) -> bool:
    """Return whether a message was signed with a secret."""
    headers = found["headers"]
    key = base64.b64decode(secret.removeprefix("whsec_"))
    content = f"{headers['webhook-id']}.{headers['webhook-timestamp']}.".encode() + found["body"]
    signature = base64.b64encode(hmac.new(key, content, hashlib.sha256).digest()).decode()
    return f"v1,{signature}" in headers["webhook-signature"].split(" ")


def callback_of(api: httpx.Client, path: str, state: str) -> Json:
    """Wait until the message of a job or a batch has a state."""
    found: Json = wait_for(
        lambda: api.get(path).json()["callback"], lambda it: it["state"] == state
    )
    return found


def new_path() -> str:
    return f"/{uuid.uuid4().hex}"


@pytest.mark.parametrize("base", ["by_name", "by_address"])
def test_message_about_a_job_arrives(
    receiver: ReceiverPod, api: httpx.Client, submit: Callable[..., str], photo: Path, base: str
) -> None:
    path = new_path()
    job_id = submit(photo.read_bytes(), callbackURL=f"{getattr(receiver, base)}{path}")
    state = callback_of(api, f"/jobs/{job_id}", "delivered")
    assert (state["attempts"], state["last_error"]) == (1, None)

    (found,) = receiver.received(path)
    assert is_signed(found, receiver.secret())
    message = json.loads(found["body"])
    assert message["type"] == "imagejob.done"
    assert message["data"]["result"] == api.get(f"/result/{job_id}").json()
    status = api.get(f"/status/{job_id}").json()
    assert {name: message["data"][name] for name in ("job_id", "status", "expires_at")} == {
        name: status[name] for name in ("job_id", "status", "expires_at")
    }


def test_message_about_a_batch_arrives(
    receiver: ReceiverPod, api: httpx.Client, photos: list[Path]
) -> None:
    path = new_path()
    files = [("files", (it.name, it.read_bytes())) for it in photos[:3]]
    data = {"describer": FAST_DESCRIBER, "callbackURL": f"{receiver.by_address}{path}"}
    created = api.post("/batches", files=files, data=data)
    assert created.status_code == 202, created.text

    callback_of(api, f"/batches/{created.json()['name']}", "delivered")
    (found,) = receiver.received(path)
    message = json.loads(found["body"])
    assert message["type"] == "imagebatch.done"
    assert message["data"]["images"] == {"total": 3, "done": 3, "failed": 0}


def test_delivered_message_is_sent_again(
    receiver: ReceiverPod, api: httpx.Client, submit: Callable[..., str], photo: Path
) -> None:
    path = new_path()
    job_id = submit(photo.read_bytes(), callbackURL=f"{receiver.by_address}{path}")
    callback_of(api, f"/jobs/{job_id}", "delivered")

    answer = api.post(f"/jobs/{job_id}/callback/redeliver")
    assert (answer.status_code, answer.json()["state"]) == (202, "pending")
    first, second = wait_for(lambda: receiver.received(path), lambda it: len(it) == 2)
    assert first["headers"]["webhook-id"] == second["headers"]["webhook-id"]
    assert first["body"] == second["body"]
    callback_of(api, f"/jobs/{job_id}", "delivered")


def test_failed_message_survives_a_restart_of_the_archiver(
    receiver: ReceiverPod,
    api: httpx.Client,
    kubectl: Kubectl,
    submit: Callable[..., str],
    photo: Path,
) -> None:
    path = f"{new_path()}/later"
    job_id = submit(photo.read_bytes(), callbackURL=f"{receiver.by_address}{path}")
    wait_for(lambda: receiver.received(path), bool)
    kubectl("rollout", "restart", ARCHIVER)
    kubectl("rollout", "status", ARCHIVER, "--timeout=120s")

    state = callback_of(api, f"/jobs/{job_id}", "delivered")
    assert state["attempts"] >= 2
    first, *others = receiver.received(path)
    assert others
    assert {it["headers"]["webhook-id"] for it in others} == {first["headers"]["webhook-id"]}
    assert {it["body"] for it in others} == {first["body"]}


def test_secret_is_rotated_without_a_restart(
    receiver: ReceiverPod,
    api: httpx.Client,
    kubectl: Kubectl,
    submit: Callable[..., str],
    photo: Path,
) -> None:
    old, new = receiver.secret(), "whsec_" + base64.b64encode(uuid.uuid4().bytes * 2).decode()
    patch = {"stringData": {"secret": new, "previous": old}}
    kubectl("patch", "secret", f"{RELEASE}-webhooks", "-p", json.dumps(patch))

    def send() -> Json:
        path = new_path()
        job_id = submit(photo.read_bytes(), callbackURL=f"{receiver.by_address}{path}")
        callback_of(api, f"/jobs/{job_id}", "delivered")
        found: Json = receiver.received(path)[0]
        return found

    # The kubelet updates the files of a Secret within about a minute.
    found = wait_for(send, lambda it: is_signed(it, new), seconds=180)
    assert is_signed(found, old)


@pytest.mark.parametrize(
    "address",
    [
        "https://169.254.169.254/latest/meta-data/",
        "http://vision-node-minio.vision-node.svc.cluster.local:9000/",
        "https://kubernetes.default.svc.cluster.local/",
        "http://127.0.0.1:9090/metrics",
    ],
)
def test_addresses_inside_are_not_reached(
    receiver: ReceiverPod, api: httpx.Client, kubectl: Kubectl, photo: Path, address: str
) -> None:
    """The API refuses what it can see; the archiver, what kubectl users create."""
    files = {"file": photo.read_bytes()}
    answer = api.post("/submit", files=files, data={"callbackURL": address})
    if answer.status_code == 202:  # a name, which the archiver resolves
        job_id = answer.json()["job_id"]
    else:
        assert answer.json()["reason"] == "CallbackURLNotAllowed"
        assert api.post("/inbox/webhooks.jpg", files=files).status_code in {200, 201}
        job_id = f"webhook-{uuid.uuid4().hex[:8]}"
        key = api.get("/inbox/webhooks.jpg").json()["key"]
        spec = {"image": {"key": key}, "describer": FAST_DESCRIBER, "callbackURL": address}
        body = {
            "apiVersion": "vision-node.dev/v1alpha1",
            "kind": "ImageJob",
            "metadata": {"name": job_id},
            "spec": spec,
        }
        kubectl("create", "-f", "-", input=json.dumps(body))

    state = callback_of(api, f"/jobs/{job_id}", "failed")
    assert state["attempts"] == 1
    assert state["last_error"].startswith("CallbackURLNotAllowed: ")
