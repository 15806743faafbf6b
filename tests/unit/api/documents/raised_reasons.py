"""Collect the reasons of all problems that the code of the API can raise, by reading the code."""

import ast
import importlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

import vision_node_api

ROOT = Path(vision_node_api.__file__).parent

EXAMPLES = ROOT / "routes/openapi"
"""Folder whose problems are only examples."""


@dataclass(frozen=True, order=True)
class Raised:
    """A reason and a status of a problem, as far as the code says them.

    Attributes:
        place: Module and function, such as `services.jobs:result`.
        reason: The reason; None if only the running program knows it.
        status: The HTTP status; None if only the running program knows it.
    """

    place: str
    reason: str | None
    status: int | None


def raised_by_api() -> set[Raised]:
    """Return what all modules of the API can raise."""
    paths = (path for path in sorted(ROOT.rglob("*.py")) if not path.is_relative_to(EXAMPLES))
    return {it for path in paths for it in _raised_by(path)}


def _raised_by(path: Path) -> Iterator[Raised]:
    parts = path.relative_to(ROOT).with_suffix("").parts
    name = ".".join(part for part in parts if part != "__init__")
    text = path.read_text()
    if "Problem(" not in text:
        return

    module = importlib.import_module(f"vision_node_api.{name}".rstrip("."))
    yield from raised_in(text, name, module)


def raised_in(text: str, name: str, module: ModuleType) -> Iterator[Raised]:
    """Yield what the source text of one module can raise.

    Args:
        text: The source text.
        name: Name of the module for `place`.
        module: The module, in which names are looked up.
    """
    tree = ast.parse(text)
    functions = [
        it for it in ast.walk(tree) if isinstance(it, ast.FunctionDef | ast.AsyncFunctionDef)
    ]
    for function in functions:
        for call in _calls(function, "Problem"):
            yield from _raised_at(call, function, tree, f"{name}:{function.name}", module)


def _raised_at(
    call: ast.Call,
    function: ast.FunctionDef | ast.AsyncFunctionDef,
    tree: ast.AST,
    place: str,
    module: ModuleType,
) -> Iterator[Raised]:
    status, reason = call.args[:2]
    code = _value(status, module)
    known = code if isinstance(code, int) else None

    names = [it.arg for it in function.args.args]
    if isinstance(reason, ast.Name) and reason.id in names:
        # A helper: its callers in the same module say the reason.
        index = names.index(reason.id)
        for helped in _calls(tree, function.name):
            yield Raised(place, _text(helped.args[index], module), known)
    else:
        yield Raised(place, _text(reason, module), known)


def _calls(tree: ast.AST, name: str) -> Iterator[ast.Call]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == name:
            yield node


def _text(node: ast.expr, module: ModuleType) -> str | None:
    value = _value(node, module)
    return str(value) if isinstance(value, str) else None


def _value(node: ast.expr, module: ModuleType) -> Any:
    """Return a constant, or the value of a name such as `Reason.X`; None if it is a variable."""
    match node:
        case ast.Constant():
            return node.value
        case ast.Name():
            return getattr(module, node.id, None)
        case ast.Attribute(value=ast.Name() as owner):
            return getattr(getattr(module, owner.id, None), node.attr, None)
        case _:
            return None
