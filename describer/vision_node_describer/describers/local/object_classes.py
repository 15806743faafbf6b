"""The 80 classes of COCO, which the object detector knows."""

NAMES = (
    *("person", "bicycle", "car", "motorcycle", "airplane", "bus", "train", "truck", "boat"),
    *("traffic light", "fire hydrant", "stop sign", "parking meter", "bench", "bird", "cat"),
    *("dog", "horse", "sheep", "cow", "elephant", "bear", "zebra", "giraffe", "backpack"),
    *("umbrella", "handbag", "tie", "suitcase", "frisbee", "skis", "snowboard", "ball", "kite"),
    *("baseball bat", "baseball glove", "skateboard", "surfboard", "tennis racket", "bottle"),
    *("wine glass", "cup", "fork", "knife", "spoon", "bowl", "banana", "apple", "sandwich"),
    *("orange", "broccoli", "carrot", "hot dog", "pizza", "donut", "cake", "chair", "couch"),
    *("potted plant", "bed", "dining table", "toilet", "television", "laptop", "computer mouse"),
    *("remote control", "keyboard", "mobile phone", "microwave", "oven", "toaster", "sink"),
    *("refrigerator", "book", "clock", "vase", "scissors", "teddy bear", "hair dryer"),
    "toothbrush",
)
"""Plain names by the model's class index."""

ANIMALS = frozenset(
    {
        *("bird", "cat", "dog", "horse", "sheep", "cow"),
        *("elephant", "bear", "zebra", "giraffe"),
    }
)

_UNRELIABLE = frozenset(
    {
        *("bed", "refrigerator", "toilet", "oven", "sink", "microwave", "clock", "bowl"),
        *("dining table", "airplane", "kite", "frisbee", "ball", "knife", "fork", "spoon"),
        *("cake", "remote control", "vase", "potted plant", "baseball bat", "surfboard"),
        *("snowboard", "skis", "toaster", "hair dryer", "scissors", "toothbrush"),
        *("mobile phone", "hot dog", "sandwich", "donut", "pizza", "apple", "orange"),
        *("broccoli", "carrot", "banana", "parking meter", "handbag", "backpack", "suitcase"),
        *("teddy bear", "cup"),
    }
)


def is_unreliable(name: str) -> bool:
    """Return whether the model often mistakes other things for this class."""
    return name in _UNRELIABLE
