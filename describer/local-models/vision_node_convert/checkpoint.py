"""Read the weights in a file that `torch.save` wrote before PyTorch 1.6, without running its code.

Such a file consists of four pickles (a magic number, the protocol, the machine and the tensors), a
fifth pickle with the order of the storages, and the storages themselves. A pickle can call any
function that its unpickler finds, so this unpickler finds only the names in `_ALLOWED`.
"""

import math
import pickle  # only for _RestrictedUnpickler, which refuses everything that could run code
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import numpy as np
from numpy.typing import NDArray

from vision_node_convert.graph import ConversionError

MAGIC_NUMBER = 0x1950A86A20F9469CFC6C
PROTOCOL = 1001

COUNT_BYTES = 8
"""Size in bytes of the element count that precedes each storage."""


@dataclass(frozen=True)
class _Storage:
    dtype: np.dtype[np.generic]
    key: str
    count: int


@dataclass(frozen=True)
class _View:
    """A tensor, which is a part of a storage."""

    storage: _Storage
    offset: int
    shape: tuple[int, ...]
    strides: tuple[int, ...]


def read(path: Path) -> dict[str, NDArray[np.generic]]:
    """Return the tensors by name. Raises ConversionError if the file contains anything else."""
    with path.open("rb") as file:
        header = [_unpickle(file) for _ in range(3)]
        if header[:2] != [MAGIC_NUMBER, PROTOCOL]:
            raise ConversionError(f"{path.name} was not written by PyTorch 1.0 to 1.5")

        views = _checked_views(_unpickle(file))
        storages = {view.storage.key: view.storage for view in views.values()}
        keys = _unpickle(file)
        if not isinstance(keys, list) or set(keys) != storages.keys():
            raise ConversionError(f"{path.name} does not name the storages of its tensors")

        data = {key: _read_storage(file, storages[key]) for key in keys}

    return {name: _tensor(data[view.storage.key], view) for name, view in views.items()}


def _unpickle(file: BinaryIO) -> object:
    try:
        return _RestrictedUnpickler(file).load()
    except (pickle.UnpicklingError, EOFError, LookupError, TypeError, ValueError) as error:
        raise ConversionError(f"{file.name} was not written by torch.save: {error}") from None


def _checked_views(loaded: object) -> Mapping[str, _View]:
    if not isinstance(loaded, dict):
        raise ConversionError(f"expected tensors by name, found {type(loaded).__name__}")

    for name, view in loaded.items():
        if not (isinstance(name, str) and isinstance(view, _View)):
            raise ConversionError(f"{name} is not a tensor")
    return loaded


def _read_storage(file: BinaryIO, storage: _Storage) -> NDArray[np.generic]:
    count = int.from_bytes(file.read(COUNT_BYTES), "little")
    content = file.read(storage.count * storage.dtype.itemsize)

    if count != storage.count or len(content) != count * storage.dtype.itemsize:
        raise ConversionError(f"the file ends early, or storage {storage.key} has the wrong size")
    return np.frombuffer(content, storage.dtype)


def _tensor(data: NDArray[np.generic], view: _View) -> NDArray[np.generic]:
    """Return a copy of a tensor's elements, which may be stored in any order."""
    if len(view.shape) != len(view.strides) or min((view.offset, *view.shape, *view.strides)) < 0:
        raise ConversionError(f"a tensor has the impossible shape {view.shape}")

    # as_strided could read memory outside the storage, so first check the last element's position.
    steps = zip(view.shape, view.strides, strict=True)
    last = view.offset + sum((size - 1) * stride for size, stride in steps)
    if math.prod(view.shape) and last >= len(data):
        raise ConversionError(f"a tensor of shape {view.shape} ends outside its storage")

    strides = [stride * data.itemsize for stride in view.strides]
    return np.lib.stride_tricks.as_strided(data[view.offset :], view.shape, strides).copy()


def _rebuild_tensor(
    storage: object, offset: int, shape: tuple[int, ...], strides: tuple[int, ...], *_: object
) -> _View:
    """Take the place of torch._utils._rebuild_tensor_v2."""
    if not isinstance(storage, _Storage):
        raise ConversionError("a tensor has no storage")
    return _View(storage, offset, shape, strides)


# The names that a file may look up, and the objects that it gets. None of them has side effects.
_ALLOWED: Mapping[tuple[str, str], object] = {
    ("collections", "OrderedDict"): OrderedDict,
    ("torch._utils", "_rebuild_tensor_v2"): _rebuild_tensor,
    ("torch", "FloatStorage"): np.dtype("<f4"),
    ("torch", "LongStorage"): np.dtype("<i8"),
}


class _RestrictedUnpickler(pickle.Unpickler):
    """Refuses all names except those in `_ALLOWED`."""

    def find_class(self, module: str, name: str) -> object:
        """Return the object that a pickle gets for this name."""
        try:
            return _ALLOWED[module, name]
        except KeyError:
            raise ConversionError(f"the file uses {module}.{name}, which is refused") from None

    def persistent_load(self, reference: object) -> _Storage:
        """Return the storage that a tensor refers to."""
        match reference:
            case ("storage", np.dtype() as dtype, str(key), str(), int(count), None):
                return _Storage(dtype, key, count)
            case _:
                raise ConversionError(f"the file refers to {reference!r}, which is not a storage")
