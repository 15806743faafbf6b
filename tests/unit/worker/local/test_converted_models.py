"""Tests of the converted models against stored outputs of the originals.

original_outputs.npz contains the outputs of the original models for three photographs from
scikit-image, at the pixels that `sampled` selects. EfficientNet-Lite2 ran in PyTorch 2.15.0, with
the package efficientnet-lite-pytorch 0.1.0 and the published weights. NanoDet-g and BlazeFace ran
in TensorFlow.js 4.22.0 on its backend `cpu`, with the published files. The original NanoDet-g takes
only pictures of 416x416 pixels. To run it with 320x608 pixels, the sizes in the placeholder and in
four resize operations of its file were changed. If an output has one row per cell or anchor,
original_outputs.npz contains the 24 rows with the highest scores and the means of all rows.
"""

import hashlib
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
import skimage.io
import vision_node_local_models as models
from numpy.typing import NDArray

Array = NDArray[np.float32]

ORIGINALS = np.load(Path(__file__).with_name("original_outputs.npz"))
PROJECT = Path(__file__).parents[4] / "describer" / "local-models"

PHOTOGRAPHS = ("chelsea", "coffee", "astronaut")
NANODET_SIZES = ((416, 416), (320, 608))
NANODET_OUTPUTS = ("Identity", *(f"Identity_{number}" for number in range(1, 6)))

# The originals' outputs are stored with 16 bits, so they are known to one part in 2,048.
STORED_RELATIVE = 1 / 2048
# Maximum difference between two sums of thousands of products that libraries add in different
# orders, as a share of the largest value. The published weights of NanoDet-g and BlazeFace can be
# stored in 16 bits without rounding.
SUMMATION = 1e-5
# EfficientNet's weights were published with 32 bits; rounding them to 16 changes a probability by
# at most 0.0011 in these photographs.
ROUNDED_WEIGHTS = 0.002

MEAN_BGR = np.array([103.53, 116.28, 123.675], np.float32)
DEVIATION_BGR = np.array([57.375, 57.12, 58.395], np.float32)

MAX_TOTAL_BYTES = 25_000_000


def sampled(photograph: str, height: int, width: int) -> Array:
    """Return pixels of the photograph without interpolation, which differs between libraries."""
    pixels = skimage.io.imread(Path(skimage.__file__).parent / "data" / f"{photograph}.png")
    rows = np.arange(height) * pixels.shape[0] // height
    columns = np.arange(width) * pixels.shape[1] // width
    return pixels[rows][:, columns, :3].astype(np.float32)


def run(file: Path, name: str, value: Array) -> Mapping[str, Array]:
    """Return the outputs for the first picture in the batch, by name."""
    session = onnxruntime.InferenceSession(file, providers=["CPUExecutionProvider"])
    names = [output.name for output in session.get_outputs()]
    answers = session.run(names, {name: np.ascontiguousarray(value, np.float32)})
    return {name: answer[0] for name, answer in zip(names, answers, strict=True)}


def assert_rows_equal_original(found: Array, prefix: str) -> None:
    rows = ORIGINALS[f"{prefix} rows"]
    for values, part in ((found[rows], "values"), (found.mean(axis=0), "means")):
        expected = ORIGINALS[f"{prefix} {part}"].astype(np.float32)
        slack = float(np.abs(expected).max()) * SUMMATION
        np.testing.assert_allclose(values, expected, rtol=STORED_RELATIVE, atol=slack)


@pytest.mark.parametrize("photograph", PHOTOGRAPHS)
def test_efficientnet_returns_the_original_probabilities(photograph: str) -> None:
    pixels = ((sampled(photograph, 260, 260) - 127) / 128).transpose(2, 0, 1)
    found = run(models.EFFICIENTNET, "pixels", pixels[None])["probabilities"]
    expected = ORIGINALS[f"efficientnet {photograph}"].astype(np.float32)

    assert found.argmax() == expected.argmax()
    np.testing.assert_allclose(found, expected, rtol=0, atol=ROUNDED_WEIGHTS)


def test_efficientnet_returns_the_same_with_and_without_batches() -> None:
    pixels = np.stack(
        [((sampled(name, 260, 260) - 127) / 128).transpose(2, 0, 1) for name in PHOTOGRAPHS]
    )
    session = onnxruntime.InferenceSession(models.EFFICIENTNET, providers=["CPUExecutionProvider"])
    together = session.run(None, {"pixels": pixels})[0]
    alone = [run(models.EFFICIENTNET, "pixels", one[None])["probabilities"] for one in pixels]

    np.testing.assert_allclose(together, alone, rtol=0, atol=SUMMATION)


@pytest.mark.parametrize(("height", "width"), NANODET_SIZES)
@pytest.mark.parametrize("photograph", PHOTOGRAPHS)
def test_nanodet_returns_the_original_cells(photograph: str, height: int, width: int) -> None:
    pixels = (sampled(photograph, height, width)[..., ::-1] - MEAN_BGR) / DEVIATION_BGR
    found = run(models.NANODET, "input_1", pixels.transpose(2, 0, 1)[None])

    cells = [height * width // stride**2 for stride in (8, 16, 32)]
    assert [found[name].shape for name in NANODET_OUTPUTS] == [
        *((count, 80) for count in cells),
        *((count, 44) for count in cells),
    ]
    for name, rows in found.items():
        assert_rows_equal_original(rows, f"nanodet {height}x{width} {photograph} {name}")


@pytest.mark.parametrize("photograph", PHOTOGRAPHS)
def test_blazeface_returns_the_original_anchors(photograph: str) -> None:
    found = run(models.BLAZEFACE, "input", (sampled(photograph, 256, 256) / 127.5 - 1)[None])

    shapes = {name: rows.shape for name, rows in found.items()}
    assert shapes == {
        "Identity": (512, 1),
        "Identity_1": (384, 1),
        "Identity_2": (512, 16),
        "Identity_3": (384, 16),
    }
    for name, rows in found.items():
        assert_rows_equal_original(rows, f"blazeface {photograph} {name}")


@pytest.mark.parametrize("file", [models.EFFICIENTNET, models.NANODET, models.BLAZEFACE])
def test_model_file_has_the_checksum_that_the_converter_wrote(file: Path) -> None:
    lines = (PROJECT / "SHA256SUMS").read_text().splitlines()
    sums = {name: checksum for checksum, name in (line.split("  ") for line in lines)}

    found = hashlib.sha256(file.read_bytes()).hexdigest()
    assert found == sums[str(file.relative_to(PROJECT))], f"{file.name}: run `make models`"


def test_each_model_has_a_checksum() -> None:
    names = {line.split("  ")[1] for line in (PROJECT / "SHA256SUMS").read_text().splitlines()}
    files = {str(file.relative_to(PROJECT)) for file in PROJECT.rglob("*.onnx")}
    assert names == files


def test_models_are_small_enough_for_the_repository() -> None:
    files = (models.EFFICIENTNET, models.NANODET, models.BLAZEFACE)
    assert sum(file.stat().st_size for file in files) < MAX_TOTAL_BYTES


@pytest.mark.parametrize("file", [models.EFFICIENTNET, models.NANODET, models.BLAZEFACE])
def test_large_tensors_are_stored_with_16_bits(file: Path) -> None:
    tensors = onnx.load(file).graph.initializer
    large = [tensor for tensor in tensors if np.prod(tensor.dims) > 64]
    assert large
    assert {tensor.data_type for tensor in large} == {onnx.TensorProto.FLOAT16}


@pytest.mark.parametrize("file", [models.EFFICIENTNET, models.NANODET, models.BLAZEFACE])
def test_models_use_only_onnx_operators(file: Path) -> None:
    model = onnx.load(file)
    assert {node.domain for node in model.graph.node} == {""}
    assert not model.functions


def test_every_class_has_a_name_and_parents_in_plain_words() -> None:
    lines = models.CLASSES.read_text(encoding="utf-8").splitlines()
    assert len(lines) == 1000
    for line in lines:
        name, parents = line.split("\t")
        words = [name, *(parents.split(", ") if parents else [])]
        assert all(word and word == word.strip() and "," not in word for word in words), line
