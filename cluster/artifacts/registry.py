"""Whether images come from a registry or are made here from packages."""

from cluster import versions
from cluster.artifacts import debian, golang, node_image
from cluster.context import Workshop
from cluster.engine import Engine

# A few kilobytes from the registry that kind's node image comes from.
PROBE = "hello-world:latest"
PROBE_SECONDS = 10.0


def home_made(shop: Workshop, engine: Engine) -> bool:
    """Whether images must be made here, because no registry answers the engine.

    What an earlier run found holds as long as its node image is there.
    """
    if engine.has_image(versions.KIND_NODE_IMAGE):
        return False
    if engine.has_image(node_image.tag(shop)):
        return True
    if not (debian.may_install() and golang.available()):
        # Nothing can be built here, so if no registry answers, Docker's own error says what is
        # wrong.
        return False

    with shop.progress.step("image registry") as step:
        answers = engine.works("pull", "--quiet", PROBE, timeout_seconds=PROBE_SECONDS)
        engine.works("image", "rm", PROBE)
        step.outcome = "answers" if answers else "does not answer: images are made from packages"

    return not answers


def node_image_name(shop: Workshop, engine: Engine, *, made_here: bool) -> str:
    """The node image's name; one that is made here is also loaded into the engine."""
    if not made_here:
        return versions.KIND_NODE_IMAGE

    name = node_image.tag(shop)
    if not engine.has_image(name):
        file = node_image.ensure(shop)
        with shop.progress.step("node image into the engine", outcome="loaded"):
            engine.load(file)
            engine.prune(keep=name)

    return name
