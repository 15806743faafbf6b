"""Build the images that run in the cluster."""

import os
import ssl
from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict, astuple, dataclass
from functools import partial
from pathlib import Path

from cluster import versions
from cluster.artifacts import archive, debian, golang, postgres_image, store_image
from cluster.artifacts.cache import fingerprint
from cluster.context import BuildContext
from cluster.engine import Engine
from cluster.errors import ClusterError
from cluster.run.parallel import Parallel

COMPONENTS = ("api", "operator", "describer")

# The image `describer-cloud` is built, and its Describers are created, only if EXTRAS in the
# environment names it. Below are its extras in describer/pyproject.toml, and its Describers.
CLOUD = "cloud"
CLOUD_DESCRIBERS = ("google", "rekognition")

# Extras that EXTRAS may still name, although they are now part of the standard image.
STANDARD_EXTRAS = ("ocr",)

# Inputs of every component's image besides the component's folder.
SHARED_INPUTS = ("crds", "uv.lock", "pyproject.toml", ".dockerignore")

# The members of uv's workspace. To install one of them, uv must find all of them.
MEMBERS = ("*/pyproject.toml", "describer/*/pyproject.toml")

# The same packages as in python:slim. Some wheels need libstdc++, such as Pillow's wheel with AVIF.
PYTHON = debian.RootFileSystem(
    "python",
    versions.DEBIAN_OF_PYTHON,
    "essential",
    ("python3", "python3-venv", "ca-certificates", "libstdc++6"),
)

# Variables to pass to `docker build` by name only, so that the process list does not show passwords
# in their URLs.
PROXY_ARGUMENTS = ("HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY", "http_proxy", "https_proxy", "no_proxy")
PYTHON_ARGUMENTS = (
    *("PIP_INDEX_URL", "PIP_EXTRA_INDEX_URL", "UV_INDEX_URL", "UV_DEFAULT_INDEX"),
    *PROXY_ARGUMENTS,
)
GO_ARGUMENTS = ("GOPROXY", "GOSUMDB", *PROXY_ARGUMENTS)

CA_BUNDLE = "/etc/ssl/certs/ca-certificates.crt"
# The variables from which different clients read the path of the CA bundle.
CA_VARIABLES = ("SSL_CERT_FILE", "PIP_CERT", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE")

KEPT_LAYERS_HOURS = 1


@dataclass(frozen=True)
class Images:
    """The full names of the images."""

    api: str
    operator: str
    describer: str
    minio: str
    postgres: str
    cloud: str = ""
    """Image of the describers google and rekognition; empty if there are none."""

    @property
    def all(self) -> tuple[str, ...]:
        """All images that a node needs."""
        return tuple(filter(None, astuple(self)))

    @property
    def values(self) -> dict[str, str]:
        """The value `images` for the chart."""
        return {name: value for name, value in asdict(self).items() if name != CLOUD}

    def renamed(self, rename: Callable[[str], str]) -> "Images":
        """Return the same images with new names."""
        return Images(*map(rename, self.all))


def ensure(ctx: BuildContext, engine: Engine, *, from_packages: bool) -> Images:
    """Build the images that the engine lacks, and return the names of all images."""
    extras = wanted_extras(os.environ)
    for name in sorted(extras.intersection(STANDARD_EXTRAS)):
        ctx.progress.note(f"EXTRAS: {name}", "part of the standard image")

    with Parallel() as parallel:
        minio = parallel.start(lambda: ensure_store(ctx, engine, from_packages=from_packages))
        postgres = parallel.start(lambda: ensure_database(ctx, engine, from_packages=from_packages))
        components = parallel.start(
            lambda: _build_components(
                ctx, engine, cloud=CLOUD in extras, from_packages=from_packages
            )
        )
    api, operator, describer, *cloud = components.get()
    return Images(api, operator, describer, minio.get(), postgres.get(), *cloud)


def ensure_image(
    ctx: BuildContext, engine: Engine, folder: str, name: str, *, from_packages: bool
) -> str:
    """Build the image from a folder's Dockerfile if the engine lacks it; return its full name.

    The image has the same base image as the components.
    """
    base = python_base(ctx, engine) if from_packages else ""
    image = f"vision-node-{name}:{image_key(ctx.repository, folder, base)}"

    if not engine.has_image(image):
        _build(ctx, engine, folder, "", image, base)

    return image


def wanted_extras(environment: Mapping[str, str]) -> frozenset[str]:
    """Return the names in the variable EXTRAS. Raises ClusterError if a name is unknown."""
    wanted = environment.get("EXTRAS", "").split()
    known = (CLOUD, *STANDARD_EXTRAS)

    if unknown := [name for name in wanted if name not in known]:
        raise ClusterError(
            f"EXTRAS: there is no {', '.join(unknown)}; choose from {', '.join(known)}"
        )

    return frozenset(wanted)


def _build_components(
    ctx: BuildContext, engine: Engine, *, cloud: bool, from_packages: bool
) -> list[str]:
    """Build the images that the engine lacks; return all names, with the cloud image last."""
    base = python_base(ctx, engine) if from_packages else ""
    recipes = {component: (component, "") for component in COMPONENTS}
    if cloud:
        recipes[f"describer-{CLOUD}"] = ("describer", " ".join(CLOUD_DESCRIBERS))

    keys = {
        image: image_key(ctx.repository, component, base)
        for image, (component, _) in recipes.items()
    }
    names = {image: f"vision-node-{image}:{key}" for image, key in keys.items()}
    missing = {image: name for image, name in names.items() if not engine.has_image(name)}

    with Parallel() as parallel:
        for image, name in missing.items():
            parallel.start(partial(_build, ctx, engine, *recipes[image], name, base))

    for image in names.keys() - missing.keys():
        ctx.progress.note(f"image {image}", "present")

    if missing and engine.is_ours:
        # Each build leaves hundreds of megabytes of layers behind, and the next build uses only the
        # newest layers.
        engine.succeeds("image", "prune", "--force", f"--filter=until={KEPT_LAYERS_HOURS}h")

    return list(names.values())


def _build(
    ctx: BuildContext, engine: Engine, component: str, extras: str, name: str, base: str
) -> None:
    with ctx.progress.step(" ".join(["image", component, *extras.split()]), outcome="built"):
        file = ctx.repository / component / "Dockerfile"
        arguments = build_arguments(os.environ, base, host_network=engine.is_ours)
        if extras:
            arguments.append(f"--build-arg=EXTRAS={extras}")
        engine.run("build", *arguments, "--file", file, "--tag", name, ctx.repository)
        engine.prune(keep=name)


def image_key(repository: Path, component: str, base: str) -> str:
    """Return a fingerprint of everything that goes into a component's image."""
    paths = [repository / name for name in (component, *SHARED_INPUTS)]
    members = sorted(file for pattern in MEMBERS for file in repository.glob(pattern))
    if not (repository / component / "Dockerfile").exists():
        raise ClusterError(
            f"{component}/Dockerfile is missing: run this from the project's checkout"
        )
    return fingerprint(base, *(path for path in paths if path.exists()), *members)


def build_arguments(
    environment: Iterable[str],
    base: str,
    *,
    host_network: bool,
    names: Iterable[str] = PYTHON_ARGUMENTS,
) -> list[str]:
    """Return the options of `docker build` for package registries, proxies and the base image."""
    found = set(environment)
    options = [f"--build-arg={name}" for name in names if name in found]
    if base:
        options.append(f"--build-arg=BASE_IMAGE={base}")

    if host_network:
        # The machine's name server may be reachable only from the machine's own network.
        options.append("--network=host")

    return options


def python_base(ctx: BuildContext, engine: Engine) -> str:
    """Return the base image of the components: Debian's Python with this machine's CA bundle."""
    bundle = machine_ca_bundle()
    root = debian.root_file_system(ctx, PYTHON)
    key = fingerprint(root.name, bundle.read_text(), CA_BUNDLE, *CA_VARIABLES)
    name = f"vision-node-python:{key}"

    def make(target: Path) -> None:
        certificates = target.with_suffix(".certificates")
        archive.pack_files({CA_BUNDLE: bundle}, certificates)
        environment = tuple(f"{variable}={CA_BUNDLE}" for variable in CA_VARIABLES)
        image = archive.Image((name,), (root, certificates), ("python3",), environment)
        archive.write([image], target)
        certificates.unlink()

    file = ctx.get_or_build("image python", "python-image", key, make, suffix=".tar")
    _load(ctx, engine, name, file)

    return name


def machine_ca_bundle() -> Path:
    """Return the file of certificate authorities that this machine trusts."""
    places = (os.environ.get("SSL_CERT_FILE"), ssl.get_default_verify_paths().cafile, CA_BUNDLE)
    for place in places:
        if place and Path(place).exists():
            return Path(place)

    raise ClusterError("This machine has no bundle of certificate authorities: set SSL_CERT_FILE")


def ensure_store(ctx: BuildContext, engine: Engine, *, from_packages: bool) -> str:
    """Make sure that the engine has the bundled store's image; return its full name."""
    if from_packages:
        return _store_from_go(ctx, engine)

    return _from_dockerfile(ctx, engine, "minio", store_image.FOLDER, GO_ARGUMENTS)


def ensure_database(ctx: BuildContext, engine: Engine, *, from_packages: bool) -> str:
    """Make sure that the engine has the bundled PostgreSQL's image; return its full name."""
    if from_packages:
        return _database_from_packages(ctx, engine)

    return _from_dockerfile(ctx, engine, "postgres", postgres_image.FOLDER, PROXY_ARGUMENTS)


def _from_dockerfile(
    ctx: BuildContext, engine: Engine, title: str, folder: str, names: Iterable[str]
) -> str:
    """Build the image from a folder that has all its inputs, unless the engine has it.

    `names` are the variables to pass on to `docker build`. Returns the image's full name.
    """
    name = f"vision-node-{title}:{fingerprint(ctx.repository / folder)}"
    if engine.has_image(name):
        ctx.progress.note(f"image {title}", "present")
        return name

    with ctx.progress.step(f"image {title}", outcome="built"):
        arguments = build_arguments(os.environ, "", host_network=engine.is_ours, names=names)
        engine.run("build", *arguments, "--tag", name, ctx.repository / folder)
        engine.prune(keep=name)

    return name


def _database_from_packages(ctx: BuildContext, engine: Engine) -> str:
    folder = ctx.repository / postgres_image.FOLDER
    wanted = postgres_image.root_file_system(folder)
    key = fingerprint(debian.root_key(wanted), folder, Path(postgres_image.__file__))
    name = f"vision-node-postgres:{key}"
    if engine.has_image(name):
        return name

    root = debian.root_file_system(ctx, wanted)

    def make(target: Path) -> None:
        postgres_image.write(root, folder, name, target)

    file = ctx.get_or_build("image postgres", "postgres-image", key, make, suffix=".tar")
    _load(ctx, engine, name, file)
    return name


def _store_from_go(ctx: BuildContext, engine: Engine) -> str:
    program = golang.build(ctx, store_image.PROGRAM)
    bundle = machine_ca_bundle()
    key = fingerprint(program.parent.name, bundle.read_text(), Path(store_image.__file__))
    name = f"vision-node-minio:{key}"
    if engine.has_image(name):
        return name

    def make(target: Path) -> None:
        store_image.write(ctx, program, bundle, name, target)

    _load(
        ctx, engine, name, ctx.get_or_build("image minio", "minio-image", key, make, suffix=".tar")
    )
    return name


def _load(ctx: BuildContext, engine: Engine, name: str, file: Path) -> None:
    if not engine.has_image(name):
        with ctx.progress.step(f"{name.partition(':')[0]} into the engine", outcome="loaded"):
            engine.load(file)
            engine.prune(keep=name)
