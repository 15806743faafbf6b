"""The models of the describer `local` and the names of the classes, as files beside this module.

`make models` converts the models from the packages that publish their weights. Weights are stored
with 16 bits and computed with 32.
"""

from pathlib import Path

_FOLDER = Path(__file__).parent

EFFICIENTNET = _FOLDER / "efficientnet-lite2.onnx"
"""EfficientNet-Lite2 for the 1,000 classes of ImageNet.

Input `pixels` [n, 3, 260, 260]: RGB, (value - 127) / 128. Output `probabilities` [n, 1000].
"""

NANODET = _FOLDER / "nanodet-g.onnx"
"""NanoDet-g for the 80 kinds of objects in COCO.

Input `input_1` [1, 3, h, w]: BGR, (value - mean) / deviation; h and w are multiples of 32. For the
strides 8, 16 and 32, the outputs `Identity`, `Identity_1` and `Identity_2` are the scores of each
cell, and `Identity_3`, `Identity_4` and `Identity_5` the distributions of its box's four edges.
"""

BLAZEFACE = _FOLDER / "blazeface.onnx"
"""BlazeFace, which finds faces.

Input `input` [1, 256, 256, 3]: RGB, value / 127.5 - 1. The outputs `Identity` and `Identity_1` are
the scores of 512 and 384 anchors before the sigmoid; `Identity_2` and `Identity_3` are their boxes
and six points of the face, in pixels.
"""

CLASSES = _FOLDER / "classes.tsv"
"""The classes of `EFFICIENTNET`, one per line in the order of its outputs.

Each line has the plain name, a tab, and the more general names, if there are any, nearest first and
separated by a comma and a space.
"""
