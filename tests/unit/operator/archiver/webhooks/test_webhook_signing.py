"""Messages are signed as Standard Webhooks defines it, and the secret can be rotated."""

import base64
from pathlib import Path

import pytest
from vision_node_operator import webhook_secret
from vision_node_operator.archiver.webhooks.signing import (
    SecretFolder,
    SecretUnusableError,
    parse_secret,
    signature,
)

SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"  # noqa: S105 (published)
OTHER = "whsec_" + base64.b64encode(b"x" * 32).decode()


def test_signature_is_that_of_the_published_example() -> None:
    """The example is in the tests of all libraries of Standard Webhooks."""
    body = b'{"test": 2432232314}'
    keys = [parse_secret(SECRET, "secret")]
    found = signature(keys, "msg_p5jXN8AQM9LWM0D4loKWxJek", 1614265330, body)
    assert found == "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="


def test_both_secrets_sign_during_a_rotation(tmp_path: Path) -> None:
    folder = SecretFolder(tmp_path)
    (tmp_path / "secret").write_text(SECRET)
    old = signature(folder.keys(), "id", 1, b"{}")

    (tmp_path / "secret").write_text(f"{OTHER}\n")
    (tmp_path / "previous").write_text(SECRET)
    both = signature(folder.keys(), "id", 1, b"{}").split(" ")
    assert len(both) == 2
    assert both[1] == old

    (tmp_path / "previous").unlink()
    assert signature(folder.keys(), "id", 1, b"{}").split(" ") == both[:1]


@pytest.mark.parametrize(
    "text",
    [
        "MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw",
        "whsec_",
        "whsec_short",
        "whsec_" + base64.b64encode(b"x" * 23).decode(),
        "whsec_" + base64.b64encode(b"x" * 65).decode(),
        "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaS!",
        "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSwä",
    ],
)
def test_invalid_secret_is_refused_without_showing_it(tmp_path: Path, text: str) -> None:
    (tmp_path / "secret").write_text(text)
    with pytest.raises(SecretUnusableError, match="24 to 64 bytes") as error:
        SecretFolder(tmp_path).keys()
    assert text not in str(error.value) or text == "whsec_"


@pytest.mark.parametrize("name", ["missing", "empty"])
def test_missing_secret_is_reported(tmp_path: Path, name: str) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "empty" / "secret").write_text("")
    with pytest.raises(SecretUnusableError, match="is missing"):
        SecretFolder(tmp_path / name).keys()


def test_hook_makes_a_valid_secret() -> None:
    made = webhook_secret.secret("release-webhooks")
    assert set(made.values) == {"secret"}
    assert len(parse_secret(made.values["secret"], "secret")) == 32
    assert made.values != webhook_secret.secret("release-webhooks").values
