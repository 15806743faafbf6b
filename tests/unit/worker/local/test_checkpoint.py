"""Tests that PyTorch's weights are read without running code that a file contains."""

import io
import pickle
import sys
from collections import OrderedDict
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
from vision_node_convert import checkpoint
from vision_node_convert.graph import ConversionError

HEADER = (checkpoint.MAGIC_NUMBER, checkpoint.PROTOCOL, {"little_endian": True})
VALUES = np.arange(12, dtype="<f4")


class Storage:
    """Represents a storage of 12 floats in a pickle."""


class Tensor:
    """Is pickled like one of PyTorch's tensors, as a part of the storage."""

    def __init__(self, *view: object) -> None:
        self._view = view

    def __reduce__(self) -> tuple[Callable[..., object], tuple[object, ...]]:
        rebuild = sys.modules["torch._utils"]._rebuild_tensor_v2
        return rebuild, (Storage(), *self._view, False, OrderedDict())


class Malicious:
    """Creates a file when it is unpickled."""

    def __init__(self, call: Callable[..., object], *arguments: object) -> None:
        self._reduced = (call, arguments)

    def __reduce__(self) -> tuple[Callable[..., object], tuple[object, ...]]:
        return self._reduced


@pytest.fixture(autouse=True)
def torch(monkeypatch: pytest.MonkeyPatch) -> None:
    """Install modules with the two names to which PyTorch's pickles refer."""
    float_storage = type("FloatStorage", (), {"__module__": "torch"})

    def _rebuild_tensor_v2() -> None:
        """Replace PyTorch's function. Only the function's name is pickled."""

    _rebuild_tensor_v2.__module__ = "torch._utils"
    _rebuild_tensor_v2.__qualname__ = "_rebuild_tensor_v2"
    for name, content in {
        "torch": {"FloatStorage": float_storage},
        "torch._utils": {"_rebuild_tensor_v2": _rebuild_tensor_v2},
    }.items():
        module = ModuleType(name)
        vars(module).update(content)
        monkeypatch.setitem(sys.modules, name, module)


def pickled(value: object) -> bytes:
    class Pickler(pickle.Pickler):
        def persistent_id(self, item: object) -> object:
            if not isinstance(item, Storage):
                return None
            return ("storage", sys.modules["torch"].FloatStorage, "7", "cpu", VALUES.size, None)

    buffer = io.BytesIO()
    Pickler(buffer, protocol=2).dump(value)
    return buffer.getvalue()


def saved(folder: Path, tensors: object, data: bytes | None = None) -> Path:
    """Write a file as torch.save did before PyTorch 1.6."""
    pickles = b"".join(pickled(value) for value in (*HEADER, tensors, ["7"]))
    content = VALUES.tobytes() if data is None else data
    file = folder / "weights.pth"
    file.write_bytes(pickles + VALUES.size.to_bytes(8, "little") + content)
    return file


def test_tensors_are_read(tmp_path: Path) -> None:
    file = saved(
        tmp_path,
        OrderedDict(first=Tensor(0, (2, 3), (3, 1)), second=Tensor(6, (6,), (1,))),
    )
    found = checkpoint.read(file)

    assert list(found) == ["first", "second"]
    np.testing.assert_array_equal(found["first"], VALUES[:6].reshape(2, 3))
    np.testing.assert_array_equal(found["second"], VALUES[6:])


def test_transposed_tensor_is_read_correctly(tmp_path: Path) -> None:
    found = checkpoint.read(saved(tmp_path, {"weight": Tensor(0, (4, 3), (1, 4))}))
    np.testing.assert_array_equal(found["weight"], VALUES.reshape(3, 4).T)


@pytest.mark.parametrize(
    "view",
    [(0, (13,), (1,)), (11, (2,), (1,)), (0, (4, 3), (4, 1)), (-1, (2,), (1,)), (0, (2,), (-1,))],
    ids=["too long", "offset", "strides", "negative offset", "negative stride"],
)
def test_tensor_outside_its_storage_is_refused(tmp_path: Path, view: tuple[object, ...]) -> None:
    with pytest.raises(ConversionError, match="tensor"):
        checkpoint.read(saved(tmp_path, {"weight": Tensor(*view)}))


def test_file_that_ends_early_is_refused(tmp_path: Path) -> None:
    file = saved(tmp_path, {"weight": Tensor(0, (12,), (1,))}, data=VALUES.tobytes()[:-1])
    with pytest.raises(ConversionError, match="ends early"):
        checkpoint.read(file)


def test_file_in_another_format_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "weights.pth"
    file.write_bytes(b"".join(pickled(value) for value in (1, 2, 3)))
    with pytest.raises(ConversionError, match=r"weights\.pth was not written by"):
        checkpoint.read(file)


@pytest.mark.parametrize("content", [b"", b"text", b"PK\x03\x04"], ids=["empty", "text", "zip"])
def test_file_that_is_not_a_pickle_is_refused(tmp_path: Path, content: bytes) -> None:
    file = tmp_path / "weights.pth"
    file.write_bytes(content)
    with pytest.raises(ConversionError, match=r"weights\.pth was not written by"):
        checkpoint.read(file)


@pytest.mark.parametrize("position", range(4), ids=["magic", "protocol", "machine", "tensors"])
def test_malicious_pickle_is_refused_and_not_run(tmp_path: Path, position: int) -> None:
    target = tmp_path / "was run"
    values: list[object] = [*HEADER, {}]
    values[position] = Malicious(target.touch)
    file = tmp_path / "weights.pth"
    file.write_bytes(b"".join(map(pickled, values)))

    with pytest.raises(ConversionError, match="refused"):
        checkpoint.read(file)
    assert not target.exists()

    # The standard library's unpickler does run the code in this pickle.
    pickle.loads(pickled(values[position]))  # noqa: S301
    assert target.exists()


@pytest.mark.parametrize(
    "call", [eval, exec, getattr, __import__, pickle.loads, OrderedDict.fromkeys, np.load]
)
def test_functions_are_refused(tmp_path: Path, call: Callable[..., object]) -> None:
    file = saved(tmp_path, {"weight": Malicious(call, "1")})
    with pytest.raises(ConversionError, match="refused"):
        checkpoint.read(file)


@pytest.mark.parametrize("value", ["text", 1.5, None, OrderedDict()])
def test_anything_but_tensors_is_refused(tmp_path: Path, value: object) -> None:
    with pytest.raises(ConversionError, match="weight is not a tensor"):
        checkpoint.read(saved(tmp_path, {"weight": value}))
