"""What the results of a batch say about its images."""

from collections.abc import Iterable, Mapping

from vision_node_contract.json_types import Json

from uploads.pictures_to_upload import size_of

Sizes = list[tuple[str, tuple[int, int]]]


def described(lines: Iterable[Json]) -> Sizes:
    """Return customId and size of each image that was described, sorted.

    An image that was described twice is in the list twice.
    """
    found = [(line["customId"], line["result"]["facts"]) for line in lines if "result" in line]
    return sorted((name, (facts["width"], facts["height"])) for name, facts in found)


def sizes(images: Mapping[str, bytes]) -> Sizes:
    """Return customId and size of each image, sorted."""
    return sorted((name, size_of(data)) for name, data in images.items())
