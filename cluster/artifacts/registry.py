"""Decide whether images come from a registry or are built from packages."""

from cluster import versions
from cluster.artifacts import debian, golang, node_image
from cluster.context import BuildContext
from cluster.engine import Engine

# An image of a few kilobytes, in the same registry as kind's node image.
PROBE = "hello-world:latest"
PROBE_SECONDS = 10.0


def must_build_from_packages(ctx: BuildContext, engine: Engine) -> bool:
    """Return whether images must be built from packages, because no registry can be reached.

    The result of an earlier run is reused while the engine has that run's node image.
    """
    if engine.has_image(versions.KIND_NODE_IMAGE):
        return False
    if engine.has_image(node_image.tag(ctx)):
        return True
    if not (debian.may_install() and golang.available()):
        # Images can't be built here. If no registry answers, Docker's own error says what is wrong.
        return False

    with ctx.progress.step("image registry") as step:
        answers = engine.succeeds("pull", "--quiet", PROBE, timeout_seconds=PROBE_SECONDS)
        engine.succeeds("image", "rm", PROBE)
        step.outcome = "answers" if answers else "no answer: images are built from packages"

    return not answers


def node_image_name(ctx: BuildContext, engine: Engine, *, from_packages: bool) -> str:
    """Return the node image's name. If the image is built from packages, load it as well."""
    if not from_packages:
        return versions.KIND_NODE_IMAGE

    name = node_image.tag(ctx)
    if not engine.has_image(name):
        file = node_image.ensure(ctx)
        with ctx.progress.step("node image into the engine", outcome="loaded"):
            engine.load(file)
            engine.prune(keep=name)

    return name
