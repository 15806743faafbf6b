"""Check whether a Describer's fallback can run in the Describer's own workers, unchanged."""

from collections.abc import Mapping

from vision_node_contract.models.describer import Describer


def fallback_problem(describer: Describer, others: Mapping[str, Describer]) -> str | None:
    """Return why the Describer's fallback can't be used; None if it can, or if there is none."""
    name = describer.spec.fallback
    fallback = others.get(name) if name else None

    if name is None:
        return None
    if name == describer.metadata.name:
        return "a Describer cannot be its own fallback; name another one in spec.fallback"
    if fallback is None:
        return f"no describer is named {name}; create it, or name another one in spec.fallback"

    return _incompatibility(describer, fallback)


def _incompatibility(describer: Describer, fallback: Describer) -> str | None:
    """Return why the fallback can't run in the describer's workers; None if it can."""
    name, spec, other = fallback.metadata.name, describer.spec, fallback.spec
    if other.sidecar:
        return f"{name} has a sidecar; name a describer without one"
    if (other.image, other.command) != (spec.image, spec.command):
        return f"{name} has another image or command; a fallback must have the same ones"

    env_missing = any(variable not in spec.env for variable in other.env)
    if env_missing or any(source not in spec.env_from for source in other.env_from):
        return (
            f"{name} has env or envFrom that {describer.metadata.name} lacks; "
            "set the same ones in both describers"
        )

    return None
