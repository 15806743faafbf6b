"""Give this process the environment that the chart gives to a component."""

from typing import Any

import pytest
from chart import containers, pod, template


def use_env(values: dict[str, Any], name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Set this process's environment variables to those of a component's container."""
    (container,) = containers(pod(template(values), name))
    monkeypatch.setenv("POD_NAMESPACE", "ns")
    for variable in container["env"]:
        if "value" in variable:
            monkeypatch.setenv(variable["name"], variable["value"])
