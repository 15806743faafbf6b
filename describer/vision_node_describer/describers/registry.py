"""Find and load the describer for a provider."""

import logging
from collections.abc import Mapping
from importlib import import_module

from vision_node_contract.models.description import Description, Options
from vision_node_contract.models.reasons import DescribeError, Reason

from .interface import Describer, DescriberBrokenError, Setup

log = logging.getLogger(__name__)

DESCRIBERS: dict[str, str] = {
    "google": "providers.google.describer:Google",
    "http": "providers.http.describer:Http",
    "local": "local.describer:Local",
    "metadata": "metadata.describer:Metadata",
    "nothing": "noop:Noop",
    "ocr": "ocr.describer:Ocr",
    "openai": "providers.openai.describer:OpenAI",
    "rekognition": "providers.rekognition.describer:Rekognition",
}
"""The describer for each provider, as `module:Class` in this package. A module is imported only
when it is needed, so that a worker does not load the libraries of other describers."""


def load(provider: str, setup: Setup | None = None) -> Describer:
    """Return a describer that is ready to work.

    Args:
        provider: A name in DESCRIBERS, or `package.module:Class` for a custom describer.
        setup: The describer's configuration; empty by default.

    Raises:
        DescribeError: DescriberNotFound, or the reason why the describer can never work, such as
            CredentialsMissing.
    """
    builtin = DESCRIBERS.get(provider)
    module, _, name = (f"{__package__}.{builtin}" if builtin else provider).partition(":")
    if not name:
        known = ", ".join(sorted(DESCRIBERS))
        message = (
            f"there is no describer called {provider!r}; "
            f"choose one of: {known}; or package.module:Class"
        )
        raise DescribeError(Reason.DESCRIBER_NOT_FOUND, message)

    try:
        describer_class: type[Describer] = getattr(import_module(module), name)
    except (ImportError, AttributeError) as error:
        message = f"{provider} is not in this container image ({error}); use one that contains it"
        raise DescriberBrokenError(Reason.DESCRIBER_NOT_FOUND, message, may_pass=False) from error

    return describer_class(setup or Setup())


def load_or_explain(provider: str, environment: Mapping[str, str]) -> Describer:
    """Return the describer that the environment configures, or a FailingDescriber.

    A FailingDescriber makes ImageJobs fail with the reason, such as a missing key. If the worker
    exited instead, they would keep waiting.
    """
    try:
        describer = load(provider, Setup.from_env(environment))

        for warning in describer.warnings():
            log.warning("describer %s: %s", provider, warning)
    except DescribeError as error:
        log.error("describer %s can't work: %s: %s", provider, error.reason, error.message)  # noqa: TRY400
        return FailingDescriber(error)
    except Exception as error:
        log.exception("describer %s can't be created", provider)
        message = f"{provider} can't be created: {type(error).__name__}; see the worker's log"
        return FailingDescriber(
            DescriberBrokenError(Reason.DESCRIBER_FAILED, message, may_pass=False)
        )

    return describer


class FailingDescriber(Describer):
    """Replaces a describer that can't be created, and fails every image with the reason."""

    def __init__(self, error: DescribeError) -> None:
        self._error = error

    def describe(self, image: bytes, options: Options) -> Description:  # noqa: ARG002
        """Raise the error that creating the describer raised."""
        raise self._error
