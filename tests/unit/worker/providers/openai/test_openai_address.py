"""Tests of normalizing OPENAI_BASE_URL, and of the advice for incomplete addresses."""

import pytest
from vision_node_contract.models.reasons import DescribeError, Reason
from vision_node_describer.describers.providers.openai.endpoint import endpoint_of


@pytest.mark.parametrize(
    ("address", "base_url", "query"),
    [
        ("https://api.openai.com/v1", "https://api.openai.com/v1", {}),
        (" https://api.openai.com/v1/ ", "https://api.openai.com/v1", {}),
        ("https://api.openai.com/v1//", "https://api.openai.com/v1", {}),
        ("http://ollama:11434/v1/chat/completions", "http://ollama:11434/v1", {}),
        ("http://ollama:11434/v1/responses/", "http://ollama:11434/v1", {}),
        ("http://ollama:11434/v1/models", "http://ollama:11434/v1", {}),
        ("http://ollama:11434/v1/chat/", "http://ollama:11434/v1", {}),
        ("http://user:pass@ollama:11434/v1", "http://user:pass@ollama:11434/v1", {}),
        ("https://me.openai.azure.us/openai/v1", "https://me.openai.azure.us/openai/v1", {}),
        (
            "https://me.services.ai.azure.com/models/chat/completions?api-version=2024-05-01-preview",
            "https://me.services.ai.azure.com/models",
            {"api-version": "2024-05-01-preview"},
        ),
        ("http://gateway/openai?team=a&x=1", "http://gateway/openai", {"team": "a", "x": "1"}),
        ("https://me.openai.azure.com/openai/v1/", "https://me.openai.azure.com/openai/v1", {}),
        (
            "https://me.openai.azure.com/openai/deployments/gpt/chat/completions?api-version=2024-10-21",
            "https://me.openai.azure.com/openai/deployments/gpt",
            {"api-version": "2024-10-21"},
        ),
    ],
)
def test_address_is_normalized(address: str, base_url: str, query: dict[str, str]) -> None:
    endpoint = endpoint_of(address)
    assert (endpoint.base_url, endpoint.query) == (base_url, query)
    assert endpoint.is_azure is ("azure" in address)
    assert endpoint.is_openai is ("api.openai.com" in address)


@pytest.mark.parametrize(
    ("address", "words"),
    [
        ("https://me.openai.azure.com", "https://me.openai.azure.com/openai/v1"),
        ("https://me.openai.azure.com/openai", "https://me.openai.azure.com/openai/v1"),
        ("https://me.services.ai.azure.com/models", "https://me.services.ai.azure.com/openai/v1"),
        ("https://me.openai.azure.com/openai/deployments/gpt", "add ?api-version="),
        ("https://me.openai.azure.com/openai/deployments/", "/openai/v1"),
        ("https://me.openai.azure.com/openai/deployments/gpt?api-version=", "add ?api-version="),
        ("http://ollama:port/v1", "is not an address"),
        ("http://ollama:99999/v1", "is not an address"),
        ("ollama:11434/v1", "is not an address"),
        ("https://", "is not an address"),
    ],
)
def test_incomplete_address_is_rejected_with_advice(address: str, words: str) -> None:
    with pytest.raises(DescribeError) as caught:
        endpoint_of(address)
    assert caught.value.reason is Reason.OPTIONS_INVALID
    assert words in caught.value.message
