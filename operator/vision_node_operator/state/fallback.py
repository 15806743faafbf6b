"""Whether a Describer's fallback can stand in: it runs in the same workers, with what they have."""

from collections.abc import Mapping

from vision_node_contract.models.describer import Describer


def hindrance(describer: Describer, others: Mapping[str, Describer]) -> str | None:
    """Return why the fallback that a Describer names can't stand in; None if it can, or none is named."""
    name = describer.spec.fallback
    found = others.get(name) if name else None
    if name is None:
        return None
    if name == describer.metadata.name:
        return "a Describer can't stand in for itself; name another one in spec.fallback"
    if found is None:
        return f"no describer is named {name}; make it, or name another one in spec.fallback"

    return _difference(describer, found)


def _difference(describer: Describer, fallback: Describer) -> str | None:
    """Return what the fallback needs that the workers don't have."""
    name, mine, its = fallback.metadata.name, describer.spec, fallback.spec
    if its.sidecar:
        return f"{name} has a container of its own beside its workers; name one that has none"
    if (its.image, its.command) != (mine.image, mine.command):
        return f"{name} runs another image or command; only one of the same image can stand in"

    lacking = [variable.name for variable in its.env if variable not in mine.env]
    if lacking or any(source not in mine.env_from for source in its.env_from):
        return (
            f"{name} has env or envFrom that {describer.metadata.name} has not; give them to both"
        )

    return None
