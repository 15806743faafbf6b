"""Normalize OPENAI_BASE_URL to an address that the OpenAI SDK accepts."""

from dataclasses import dataclass
from urllib.parse import parse_qsl, urlsplit

from vision_node_contract.models.reasons import DescribeError, Reason

from ...remote.base import host_of

_VARIABLE = "OPENAI_BASE_URL"

_OPERATIONS = ("/chat/completions", "/responses", "/completions", "/chat")
"""Paths that users often copy together with the address from an example request."""

_MODEL_LIST = "/v1/models"
"""Path that users request to check that a server is running, and then copy with the address."""

_AZURE_HOSTS = (
    ".openai.azure.com",
    ".cognitiveservices.azure.com",
    ".services.ai.azure.com",
    ".openai.azure.us",
    ".cognitiveservices.azure.us",
    ".openai.azure.cn",
    ".cognitiveservices.azure.cn",
)

_DEPLOYMENTS = "/openai/deployments/"

_INFERENCE = "/models"
"""Path at which Azure AI Foundry serves all models. Requests to it need an api-version."""

_API_VERSION = "api-version"


@dataclass(frozen=True, slots=True)
class Endpoint:
    """A server's address and other properties that determine how to send requests to it."""

    base_url: str
    """Address without a query or a trailing slash."""
    query: dict[str, str]
    """Query parameters to send with each request."""
    host: str
    is_openai: bool
    is_azure: bool
    wants_api_key: bool
    """Whether to send the key in the header `api-key`, as Azure and Azure API Management expect.
    Azure API Management is recognized by a path that names a deployment."""


def endpoint_of(address: str) -> Endpoint:
    """Return the endpoint for an address.

    Raises:
        DescribeError: OptionsInvalid if the address is invalid, or incomplete for Azure.
    """
    address = address.strip()
    host = host_of(address, _VARIABLE)
    parts = urlsplit(address)

    path = parts.path.rstrip("/")
    for operation in _OPERATIONS:
        path = path.removesuffix(operation)
    if path.endswith(_MODEL_LIST):
        path = path.removesuffix("/models")

    query = dict(parse_qsl(parts.query))
    is_azure = host.endswith(_AZURE_HOSTS)
    if is_azure:
        _check_azure(host, path, query)

    return Endpoint(
        base_url=f"{parts.scheme}://{parts.netloc}{path}",
        query=query,
        host=host,
        is_openai=host == "api.openai.com" or host.endswith(".api.openai.com"),
        is_azure=is_azure,
        wants_api_key=is_azure or _DEPLOYMENTS in path,
    )


def _check_azure(host: str, path: str, query: dict[str, str]) -> None:
    """Reject an incomplete address. Azure would reply to it only with "Resource not found".

    Raises:
        DescribeError: OptionsInvalid; the message says how to complete the address.
    """
    deployment = path.partition(_DEPLOYMENTS)[2]
    is_deployment = bool(deployment) and "/" not in deployment
    has_version = _API_VERSION in query
    if path.endswith("/openai/v1") or (has_version and (is_deployment or path == _INFERENCE)):
        return

    if is_deployment:
        missing = f"add ?{_API_VERSION}=2024-10-21 to the address of deployment {deployment}"
    else:
        missing = f"set it to https://{host}/openai/v1, with the deployment's name as the model"

    raise DescribeError(
        Reason.OPTIONS_INVALID, f"{_VARIABLE} is incomplete for Azure OpenAI: {missing}"
    )
