"""Where OpenAI's protocol is spoken: the address as people set it, made one that a client can use."""

from dataclasses import dataclass
from urllib.parse import parse_qsl, urlsplit

from vision_node_contract.reasons import DescribeError, Reason

from .asking import host_of

_VARIABLE = "OPENAI_BASE_URL"

_OPERATIONS = ("/chat/completions", "/responses", "/completions")
"""Often pasted along with the address, from an example of a request."""

_AZURE = (".openai.azure.com", ".cognitiveservices.azure.com", ".services.ai.azure.com")

_DEPLOYMENTS = "/openai/deployments/"


@dataclass(frozen=True, slots=True)
class Endpoint:
    """The server and how it is asked."""

    base_url: str
    """Without a query and without a slash at its end."""
    query: dict[str, str]
    """Of each request."""
    host: str
    is_openai: bool
    is_azure: bool


def endpoint_of(address: str) -> Endpoint:
    """Return the endpoint at an address.

    Raises:
        DescribeError: OptionsInvalid: it is no address, or one of Azure that lacks something.
    """
    address = address.strip()
    host = host_of(address, _VARIABLE)
    parts = urlsplit(address)
    path = parts.path.rstrip("/")
    for operation in _OPERATIONS:
        path = path.removesuffix(operation)

    query = dict(parse_qsl(parts.query))
    is_azure = host.endswith(_AZURE)
    if is_azure:
        _check_azure(host, path, query)
    return Endpoint(
        base_url=f"{parts.scheme}://{parts.netloc}{path}",
        query=query,
        host=host,
        is_openai=host == "api.openai.com" or host.endswith(".api.openai.com"),
        is_azure=is_azure,
    )


def _check_azure(host: str, path: str, query: dict[str, str]) -> None:
    """Refuse an address that Azure would answer with "Resource not found", which says nothing of what to do.

    Raises:
        DescribeError: OptionsInvalid, with what to set.
    """
    if path.endswith("/openai/v1"):
        return
    deployment = path.partition(_DEPLOYMENTS)[2]
    if deployment and "/" not in deployment:
        if "api-version" in query:
            return
        missing = f"add ?api-version=2024-10-21 to the address of deployment {deployment}"
    else:
        missing = f"set it to https://{host}/openai/v1, with the deployment's name as the model"
    raise DescribeError(Reason.OPTIONS_INVALID, f"{_VARIABLE} is not whole for Azure OpenAI: {missing}")
