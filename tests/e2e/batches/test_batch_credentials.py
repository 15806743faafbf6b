"""Tests of a batch whose describer needs someone to fix it."""

from conftest import Kubectl
from test_describers import Apply, apply
from test_openai import FakeProvider, fake, openai_spec, provider

from batches.batch import FOLDER, Batches, condition

# pytest looks up the fixtures in this module
__all__ = ["apply", "fake", "provider"]


def test_batch_waits_until_the_key_is_right(
    kubectl: Kubectl, batches: Batches, apply: Apply, fake: FakeProvider
) -> None:
    apply("locked", **openai_spec("wrong-key"))
    batches.create("locked", manifest=f"inbox/{FOLDER}/few.jsonl", describer="locked")

    status = batches.wait("locked", "Waiting")
    assert condition(status, "Waiting")["reason"] == "CredentialsRefused"
    assert (status["phase"], status["images"]) == (
        "processing",
        {"total": 4, "done": 0, "failed": 0},
    )
    assert "CredentialsRefused" in kubectl("get", "imagebatch", "locked", "-o", "wide")

    apply("locked", **openai_spec())
    status = batches.wait("locked", "Complete")
    assert status["images"] == {"total": 4, "done": 4, "failed": 0}
    assert condition(status, "Waiting")["status"] == "False"
    assert len([request for request in fake.requests() if request["rightKey"]]) == 4
