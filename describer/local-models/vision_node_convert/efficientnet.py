"""Convert EfficientNet-Lite2 from PyTorch's weights.

The network is defined here, because a file of weights does not contain it. The sources are Tan and
Le, "EfficientNet" (2019), and, for the parts that the Lite models omit, TensorFlow's
efficientnet/lite.
"""

import itertools
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np
import onnx
from numpy.typing import NDArray

from vision_node_convert.graph import Array, ConversionError, GraphBuilder

SIZE = 260
CLASSES = 1000

# Lite2 has 1.2 times as many blocks per stage as Lite0, rounded up, except in the first and
# last stages.
DEPTH = 1.2

# For each stage: the number of blocks in Lite0, and the stride of the first block.
STAGES = ((1, 1), (2, 2), (2, 2), (3, 2), (3, 1), (4, 2), (1, 1))

BATCH_NORM_EPSILON = 1e-3
"""TensorFlow's value, with which the weights were trained. PyTorch's default is different."""


@dataclass
class _Network:
    """The part of the graph that has been built so far, and the weights."""

    graph: GraphBuilder
    weights: Mapping[str, Array]

    def convolution(self, x: str, name: str, norm: str, *, stride: int = 1) -> str:
        """Add one node for a convolution and the batch normalization that follows it."""
        kernel, bias = folded(self.weights, name, norm)
        size = kernel.shape[2:]
        # A depthwise convolution has one group per channel, so its kernels have one channel.
        groups = kernel.shape[0] if "depthwise" in name else 1
        inputs = [x, self.graph.constant(kernel), self.graph.constant(bias)]

        return self.graph.add(
            "Conv",
            inputs,
            auto_pad="SAME_UPPER",
            strides=[stride, stride],
            group=groups,
            kernel_shape=[*size],
        )

    def relu6(self, x: str) -> str:
        """Add the activation function that all Lite models use."""
        zero, six = (self.graph.constant(np.array(limit, np.float32)) for limit in (0, 6))
        return self.graph.add("Clip", [x, zero, six])

    def block(self, x: str, prefix: str, stride: int, *, residual: bool) -> str:
        """Add an inverted residual block."""
        y = x
        if f"{prefix}_expand_conv.weight" in self.weights:
            y = self.relu6(self.convolution(y, f"{prefix}_expand_conv", f"{prefix}_bn0"))

        depthwise = self.convolution(y, f"{prefix}_depthwise_conv", f"{prefix}_bn1", stride=stride)
        y = self.convolution(self.relu6(depthwise), f"{prefix}_project_conv", f"{prefix}_bn2")

        return self.graph.add("Add", [x, y]) if residual else y

    def classifier(self, x: str) -> str:
        """Add the mean over the picture, the last layer and the softmax."""
        mean = self.graph.add("Flatten", [self.graph.add("GlobalAveragePool", [x])])
        kernel, bias = (
            self.graph.constant(self.weights[f"_fc.{part}"]) for part in ("weight", "bias")
        )
        logits = self.graph.add("Gemm", [mean, kernel, bias], transB=1)

        return self.graph.add("Softmax", [logits], "probabilities", axis=1)


def convert(weights: Mapping[str, Array]) -> onnx.ModelProto:
    """Return the model with the given weights."""
    network = _Network(GraphBuilder(), weights)
    x = network.relu6(network.convolution("pixels", "_conv_stem", "_bn0", stride=2))

    number = 0
    for number, (stride, residual) in enumerate(_blocks()):
        x = network.block(x, f"_blocks.{number}.", stride, residual=residual)

    if f"_blocks.{number + 1}._bn1.weight" in weights:
        raise ConversionError("the weights have more blocks than EfficientNet-Lite2")

    network.classifier(network.relu6(network.convolution(x, "_conv_head", "_bn1")))

    return network.graph.model(
        "efficientnet-lite2",
        {"pixels": ("n", 3, SIZE, SIZE)},
        {"probabilities": ("n", CLASSES)},
    )


def _blocks() -> Iterator[tuple[int, bool]]:
    """Yield the stride of each block, and whether its input is added to its output."""
    for stage, (blocks, stride) in enumerate(STAGES):
        scaled = 0 < stage < len(STAGES) - 1
        yield stride, False
        yield from itertools.repeat(
            (1, True), (math.ceil(blocks * DEPTH) if scaled else blocks) - 1
        )


def folded(
    weights: Mapping[str, Array], convolution: str, norm: str
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Return a convolution's kernel and bias after folding its batch normalization into them."""
    kernel = weights[f"{convolution}.weight"].astype(np.float64)
    scale, offset, mean, variance = (
        weights[f"{norm}.{part}"].astype(np.float64)
        for part in ("weight", "bias", "running_mean", "running_var")
    )
    factor = scale / np.sqrt(variance + BATCH_NORM_EPSILON)
    folded_kernel = kernel * factor[:, None, None, None]

    return folded_kernel.astype(np.float32), (offset - mean * factor).astype(np.float32)
