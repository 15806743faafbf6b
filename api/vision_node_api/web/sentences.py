"""Turn messages of other components into sentences for problem documents."""


def sentence(message: str) -> str:
    """Return a message as a sentence: with a capital letter, and a period unless it has an end.

    Messages in Kubernetes and of workers begin with a small letter and have no period.
    """
    text = message[:1].upper() + message[1:]
    return text if text.endswith((".", "!", "?", "…")) else f"{text}."
