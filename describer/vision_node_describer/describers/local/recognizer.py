"""Run all models on one picture, and put their results together."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from pydantic import JsonValue

from .boxes import CLASS, Boxes, no_boxes
from .classes import Label
from .classifier import Classifier
from .face_detector import FaceDetector
from .facts import boxes_to_json, labels_to_json, objects_to_json
from .labels import Choice, choose, find_labels
from .object_classes import ANIMALS, NAMES
from .object_detector import ObjectDetector
from .objects import Object, check_faces, count_objects
from .subjects import Subject, find_subjects, is_outdoors


@dataclass(frozen=True, slots=True)
class Recognition:
    """What the models recognized in a photograph."""

    objects: list[Object]
    labels: list[Label]
    faces: Boxes
    choice: Choice | None
    """How the most certain label is mentioned; None if no label is."""
    size: tuple[int, int]
    """Width and height of the picture in which the boxes lie."""

    @property
    def subjects(self) -> list[Subject]:
        """What the photograph shows, in words."""
        return find_subjects(self.objects, self.choice, self.labels)

    @property
    def is_outdoors(self) -> bool:
        """Whether the photograph shows things in a landscape."""
        return is_outdoors(self.objects, self.choice)

    def to_json(self) -> dict[str, JsonValue]:
        """Return the facts as JSON. Facts of things that were not found are left out."""
        facts: dict[str, JsonValue] = {}
        if self.objects:
            facts["objects"] = objects_to_json(self.objects, self.size)
        if self.labels:
            facts["labels"] = labels_to_json(self.labels)
        if len(self.faces):
            boxes = boxes_to_json(self.faces, self.size)
            facts["faces"] = {"count": len(self.faces), "boxes": boxes}

        return facts


NOTHING = Recognition([], [], no_boxes(), None, (1, 1))
"""Result for a picture that is not a photograph. In it, the models would see things that are not
there."""


class Recognizer:
    """Recognizes what photographs show. It is thread-safe."""

    def __init__(self) -> None:
        """Load the three models. This takes 0.2 s."""
        self._classifier = Classifier()
        self._objects = ObjectDetector()
        self._faces = FaceDetector()

    def probabilities(self, picture: Image.Image) -> NDArray[np.float32]:
        """Return the classifier's probabilities for an RGB picture."""
        return self._classifier.probabilities(picture)

    def recognize(self, picture: Image.Image, probabilities: NDArray[np.float32]) -> Recognition:
        """Return what an RGB photograph shows, given the classifier's probabilities."""
        detected, candidates = self._objects.find(picture)
        faces = check_faces(self._faces.find(picture), detected, probabilities)

        return assemble(detected, candidates, faces, probabilities, picture.size)


def assemble(
    detected: Boxes,
    candidates: Boxes,
    faces: Boxes,
    probabilities: NDArray[np.float32],
    size: tuple[int, int],
) -> Recognition:
    """Combine the models' outputs. See count_objects() for the arguments."""
    is_animal_detected = any(NAMES[int(box[CLASS])] in ANIMALS for box in detected)
    labels = find_labels(probabilities, is_animal_detected=is_animal_detected)
    return Recognition(
        objects=count_objects(detected, candidates, faces, probabilities),
        labels=labels,
        faces=faces,
        choice=choose(labels),
        size=size,
    )
