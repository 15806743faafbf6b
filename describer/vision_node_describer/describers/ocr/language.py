"""Detect the language of a text."""

from py3langid.langid import MODEL_FILE, LanguageIdentifier

from .text import Language

_MIN_PROBABILITY = 0.6
"""Minimum probability for reporting a language. Across 45 short texts in 13 languages (signs,
names, numbers and lines of code), no wrong guess exceeded it."""


class LanguageDetector:
    """Detects 97 languages. It is thread-safe."""

    def __init__(self) -> None:
        """Load the model in py3langid's wheel. This takes half a second."""
        self._identifier = LanguageIdentifier.from_model_file(MODEL_FILE, norm_probs=True)

    def detect(self, text: str) -> Language | None:
        """Return the text's language; None if it is uncertain."""
        tag, probability = self._identifier.classify(text)
        if probability < _MIN_PROBABILITY:
            return None

        return Language(tag, round(float(probability), 2))
