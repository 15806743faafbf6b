"""Which labels a retry has of what it repeats."""

from vision_node_contract.names import GROUP, OWNER_LABEL

_TOOL_DOMAIN = "kubernetes.io"
"""Domain of labels with which tools find the objects that they manage. If the new object had them,
a GitOps tool would delete it."""


def kept_labels(labels: dict[str, str]) -> dict[str, str]:
    """Return those labels of a job or a batch that another one has that repeats it.

    Of vision-node's own labels, it has only the owner.
    """
    return {
        name: value
        for name, value in labels.items()
        if name == OWNER_LABEL or not _domain(name).endswith((GROUP, _TOOL_DOMAIN))
    }


def _domain(label: str) -> str:
    """Return the part of a label's name before the slash; empty if it has none."""
    return label.rpartition("/")[0]
