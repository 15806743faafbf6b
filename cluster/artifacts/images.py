"""The images that run in the cluster: which ones, how they are made, where they come from."""

import os
import ssl
from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path

from cluster import versions
from cluster.artifacts import archive, debian, golang, store_image
from cluster.artifacts.cache import fingerprint
from cluster.context import Workshop
from cluster.engine import Engine
from cluster.errors import ClusterError
from cluster.run.parallel import Parallel

ROOMS = ("api", "operator", "describer")

# Images of describers with large libraries, and the extras of describer/pyproject.toml that they
# carry: made when EXTRAS in the environment names them.
EXTRAS = {"ocr": "ocr", "cloud": "google rekognition"}

# Beside its own folder a room's image holds these.
SHARED_INPUTS = ("crds", "uv.lock", "pyproject.toml", ".dockerignore")

# What python:slim has, too; wheels link against libstdc++ (Pillow for AVIF).
PYTHON = debian.RootFileSystem(
    "python",
    versions.DEBIAN_OF_PYTHON,
    "essential",
    ("python3", "python3-venv", "ca-certificates", "libstdc++6"),
)

# Handed to `docker build` by name alone, so that no password in an address shows in a process list.
PROXY_ARGUMENTS = ("HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY", "http_proxy", "https_proxy", "no_proxy")
PYTHON_ARGUMENTS = (
    *("PIP_INDEX_URL", "PIP_EXTRA_INDEX_URL", "UV_INDEX_URL", "UV_DEFAULT_INDEX"),
    *PROXY_ARGUMENTS,
)
GO_ARGUMENTS = ("GOPROXY", "GOSUMDB", *PROXY_ARGUMENTS)

CA_BUNDLE = "/etc/ssl/certs/ca-certificates.crt"
# Each client looks for its own.
CA_VARIABLES = ("SSL_CERT_FILE", "PIP_CERT", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE")

KEPT_LAYERS_HOURS = 1


@dataclass(frozen=True)
class Images:
    """The full names of the images that the chart is given."""

    api: str
    operator: str
    describer: str
    minio: str
    extras: tuple[str, ...] = ()
    """Those that Describers name, not the chart."""

    @property
    def all(self) -> tuple[str, ...]:
        """Every image that a node needs."""
        return (self.api, self.operator, self.describer, self.minio, *self.extras)

    @property
    def values(self) -> dict[str, str]:
        """The chart's values."""
        return {name: value for name, value in asdict(self).items() if name != "extras"}

    def renamed(self, rename: Callable[[str], str]) -> "Images":
        """The same images under the names that `rename` gives them."""
        api, operator, describer, minio, *extras = map(rename, self.all)
        return Images(api, operator, describer, minio, tuple(extras))


def ensure(shop: Workshop, engine: Engine, *, home_made: bool) -> Images:
    """Have all images in the engine; `home_made` when no image registry answers."""
    extras = wanted_extras(os.environ)
    with Parallel() as parallel:
        minio = parallel.start(lambda: ensure_store(shop, engine, home_made=home_made))
        rooms = parallel.start(lambda: _rooms(shop, engine, extras, home_made=home_made))
    api, operator, describer, *others = rooms.get()
    return Images(api, operator, describer, minio.get(), tuple(others))


def ensure_other(shop: Workshop, engine: Engine, folder: str, name: str, *, home_made: bool) -> str:
    """Have the image of that folder's Dockerfile, too, on the same base as the rooms'; its full name."""
    base = python_base(shop, engine) if home_made else ""
    image = f"vision-node-{name}:{room_key(shop.repository, folder, base)}"
    if not engine.has_image(image):
        _build(shop, engine, folder, "", image, base)
    return image


def wanted_extras(environment: Mapping[str, str]) -> list[str]:
    """What EXTRAS names, separated by spaces."""
    wanted = environment.get("EXTRAS", "").split()
    if unknown := [name for name in wanted if name not in EXTRAS]:
        raise ClusterError(
            f"EXTRAS: there is no {', '.join(unknown)}; choose from {', '.join(EXTRAS)}"
        )
    return wanted


def _rooms(shop: Workshop, engine: Engine, extras: Iterable[str], *, home_made: bool) -> list[str]:
    """Build the images of rooms and extras that are not there; the names of all."""
    base = python_base(shop, engine) if home_made else ""
    recipes = {room: (room, "") for room in ROOMS} | {
        f"describer-{name}": ("describer", EXTRAS[name]) for name in extras
    }
    keys = {image: room_key(shop.repository, room, base) for image, (room, _) in recipes.items()}
    names = {image: f"vision-node-{image}:{key}" for image, key in keys.items()}
    missing = {image: name for image, name in names.items() if not engine.has_image(name)}

    with Parallel() as parallel:
        for image, name in missing.items():
            parallel.start(partial(_build, shop, engine, *recipes[image], name, base))

    for image in names.keys() - missing.keys():
        shop.progress.note(f"image {image}", "there")

    if missing and engine.is_ours:
        # Each build leaves hundreds of megabytes, of which the next one uses only the newest.
        engine.works("image", "prune", "--force", f"--filter=until={KEPT_LAYERS_HOURS}h")

    return list(names.values())


def _build(shop: Workshop, engine: Engine, room: str, extras: str, name: str, base: str) -> None:
    with shop.progress.step(" ".join(["image", room, *extras.split()]), outcome="built"):
        file = shop.repository / room / "Dockerfile"
        arguments = build_arguments(os.environ, base, host_network=engine.is_ours)
        if extras:
            arguments.append(f"--build-arg=EXTRAS={extras}")
        engine.run("build", *arguments, "--file", file, "--tag", name, shop.repository)
        engine.prune(keep=name)


def room_key(repository: Path, room: str, base: str) -> str:
    """A fingerprint of everything that goes into a room's image."""
    places = [repository / place for place in (room, *SHARED_INPUTS)]
    members = sorted(repository.glob("*/pyproject.toml"))
    if not (repository / room / "Dockerfile").exists():
        raise ClusterError(f"{room}/Dockerfile is missing: run this from the project's checkout")
    return fingerprint(base, *(place for place in places if place.exists()), *members)


def build_arguments(
    environment: Iterable[str],
    base: str,
    *,
    host_network: bool,
    names: Iterable[str] = PYTHON_ARGUMENTS,
) -> list[str]:
    """Options of `docker build`: the machine's way to package registries, and the base image."""
    found = set(environment)
    options = [f"--build-arg={name}" for name in names if name in found]
    if base:
        options.append(f"--build-arg=BASE_IMAGE={base}")

    if host_network:
        # The machine's name server may be reachable from its own network alone.
        options.append("--network=host")

    return options


def python_base(shop: Workshop, engine: Engine) -> str:
    """The image that the rooms are built on: Debian's Python, trusting what this machine trusts."""
    bundle = machine_ca_bundle()
    root = debian.root_file_system(shop, PYTHON)
    key = fingerprint(root.name, bundle.read_text(), CA_BUNDLE, *CA_VARIABLES)
    name = f"vision-node-python:{key}"

    def make(target: Path) -> None:
        certificates = target.with_suffix(".certificates")
        archive.pack_files({CA_BUNDLE: bundle}, certificates)
        environment = tuple(f"{variable}={CA_BUNDLE}" for variable in CA_VARIABLES)
        image = archive.Image((name,), (root, certificates), ("python3",), environment)
        archive.write([image], target)
        certificates.unlink()

    file = shop.make("image python", "python-image", key, make, suffix=".tar")
    _load(shop, engine, name, file)

    return name


def machine_ca_bundle() -> Path:
    """The file of certificate authorities that this machine trusts."""
    places = (os.environ.get("SSL_CERT_FILE"), ssl.get_default_verify_paths().cafile, CA_BUNDLE)
    for place in places:
        if place and Path(place).exists():
            return Path(place)
    raise ClusterError("This machine has no bundle of certificate authorities: set SSL_CERT_FILE")


def ensure_store(shop: Workshop, engine: Engine, *, home_made: bool) -> str:
    """Make sure that the engine has the bundled store's image; return its full name."""
    if home_made:
        return _store_from_go(shop, engine)

    name = f"vision-node-minio:{fingerprint(shop.repository / store_image.FOLDER)}"
    if engine.has_image(name):
        shop.progress.note("image minio", "there")
        return name

    with shop.progress.step("image minio", outcome="built"):
        arguments = build_arguments(os.environ, "", host_network=engine.is_ours, names=GO_ARGUMENTS)
        engine.run("build", *arguments, "--tag", name, shop.repository / store_image.FOLDER)
        engine.prune(keep=name)

    return name


def _store_from_go(shop: Workshop, engine: Engine) -> str:
    program = golang.build(shop, store_image.PROGRAM)
    bundle = machine_ca_bundle()
    key = fingerprint(program.parent.name, bundle.read_text(), Path(store_image.__file__))
    name = f"vision-node-minio:{key}"
    if engine.has_image(name):
        return name

    def make(target: Path) -> None:
        store_image.write(shop, program, bundle, name, target)

    _load(shop, engine, name, shop.make("image minio", "minio-image", key, make, suffix=".tar"))
    return name


def _load(shop: Workshop, engine: Engine, name: str, file: Path) -> None:
    if not engine.has_image(name):
        with shop.progress.step(f"{name.partition(':')[0]} into the engine", outcome="loaded"):
            engine.load(file)
            engine.prune(keep=name)
