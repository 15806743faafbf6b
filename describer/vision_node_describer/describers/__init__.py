"""Ways of describing an image: they know neither Kubernetes nor storage."""

import logging
from collections.abc import Mapping
from importlib import import_module

from vision_node_contract.models.description import Description, Options
from vision_node_contract.models.reasons import DescribeError, Reason

from .interface import Describer, Remote, Setup

__all__ = ["DESCRIBERS", "Describer", "Remote", "Setup", "Unable", "load", "load_or_explain"]

log = logging.getLogger(__name__)

DESCRIBERS: dict[str, str] = {
    "google": "providers.google.describer:Google",
    "http": "providers.http.describer:Http",
    "metadata": "metadata.describer:Metadata",
    "nothing": "noop:Noop",
    "ocr": "ocr.describer:Ocr",
    "openai": "providers.openai.describer:OpenAI",
    "rekognition": "providers.rekognition.describer:Rekognition",
}
"""`module:Class` below this package, by provider. A module is imported on demand, so that a worker
carries no other describer's libraries in its memory."""


def load(provider: str, setup: Setup | None = None) -> Describer:
    """Return a describer that is ready to work.

    Args:
        provider: A name in DESCRIBERS, or `package.module:Class` for a class of somebody else's.
        setup: What the describer is told; nothing by default.

    Raises:
        DescribeError: DescriberNotFound, or why it can never work, such as CredentialsMissing.
    """
    own = DESCRIBERS.get(provider)
    module, _, name = (f"{__name__}.{own}" if own else provider).partition(":")
    if not name:
        known = ", ".join(sorted(DESCRIBERS))
        message = f"there is no describer called {provider!r}; choose one of: {known}; or package.module:Class"
        raise DescribeError(Reason.DESCRIBER_NOT_FOUND, message)

    try:
        make: type[Describer] = getattr(import_module(module), name)
    except (ImportError, AttributeError) as error:
        message = f"{provider} is not in this image ({error}); name an image that has it"
        raise DescribeError(Reason.DESCRIBER_NOT_FOUND, message) from error

    return make(setup or Setup())


def load_or_explain(provider: str, environment: Mapping[str, str]) -> Describer:
    """Return the describer that a worker's environment asks for, or one that says to each image why not.

    A missing key then fails jobs with its reason, where a worker that ends would leave them
    waiting.
    """
    try:
        describer = load(provider, Setup.from_env(environment))
        for warning in describer.warnings():
            log.warning("describer %s: %s", provider, warning)
    except DescribeError as error:
        log.error("describer %s can't work: %s: %s", provider, error.reason, error.message)  # noqa: TRY400
        return Unable(error)
    except Exception as error:
        log.exception("describer %s can't be made", provider)
        message = f"{provider} can't be made: {type(error).__name__}; its worker's log says more"
        return Unable(DescribeError(Reason.DESCRIBER_FAILED, message))

    return describer


class Unable(Describer):
    """Stands in for a describer that can't be made: every image is told why."""

    def __init__(self, error: DescribeError) -> None:
        self._error = error

    def describe(self, image: bytes, options: Options) -> Description:  # noqa: ARG002
        """Raise what making the describer raised."""
        raise self._error
