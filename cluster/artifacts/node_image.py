"""Build kind's node image from packages, for machines that can't reach an image registry."""

import contextlib
import shutil
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from cluster import versions
from cluster.artifacts import archive, debian, golang
from cluster.artifacts.cache import files_below, fingerprint, remove
from cluster.artifacts.golang import Program
from cluster.context import BuildContext
from cluster.run import shell
from cluster.run.parallel import Parallel

REPOSITORY = "vision-node-kind"

_VERSION = "k8s.io/component-base/version"

KUBERNETES = Program(
    "kube",
    module="kubernetes",
    variables=(
        (f"{_VERSION}.gitVersion", versions.KUBERNETES),
        (f"{_VERSION}.gitMajor", versions.KUBERNETES[1:].split(".")[0]),
        (f"{_VERSION}.gitMinor", versions.KUBERNETES[1:].split(".")[1]),
    ),
)
COREDNS = Program("coredns", module="coredns")
PAUSE = Program("pause", module="pause")
PROVISIONER = Program(
    "local-path-provisioner",
    package=f"github.com/rancher/local-path-provisioner@{versions.LOCAL_PATH_PROVISIONER}",
)

ROOT = debian.RootFileSystem(
    "node",
    versions.DEBIAN,
    "minbase",
    (
        *("systemd", "systemd-sysv", "dbus", "containerd", "runc", "containernetworking-plugins"),
        *("conntrack", "iptables", "nftables", "iproute2", "ethtool", "kmod", "procps"),
        *("ca-certificates", "busybox-static", "netbase"),
    ),
)

PROVISIONER_IMAGE = "localhost/local-path-provisioner:built"

PATH = ("PATH=/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",)

COMPONENTS = ("kube-apiserver", "kube-controller-manager", "kube-scheduler", "kube-proxy")
ON_NODE = ("kubelet", "kubeadm", "kubectl")

# Programs that kube-proxy runs in nftables mode.
PROXY_TOOLS = ("/usr/sbin/nft", "/usr/sbin/conntrack")

# Names of the IP protocols. Without this file, nft lists the elements of maps with numbers ("6")
# instead of the names ("tcp") that kube-proxy writes. kube-proxy lists them when it writes all
# rules again, once an hour. It would delete the numbers as outdated, and with them every Service.
PROTOCOLS = "etc/protocols"

# Units that are useless in a container. Each would delay the start by a second or take memory.
UNUSED_UNITS = (
    *("getty.target", "console-getty.service", "systemd-logind.service", "systemd-udevd.service"),
    *("apt-daily.timer", "apt-daily-upgrade.timer", "e2scrub_all.timer", "fstrim.timer"),
)

# Script that runs in the node's root file system, so that the images are written by the containerd
# that will read them. Its content store keeps a copy of each unpacked layer until nothing refers to
# the copy anymore.
UNPACK_IMAGES = """
mkdir -p /run/unpack && cd /run/unpack
printf '%s\\n' 'version = 2' 'disabled_plugins = ["io.containerd.grpc.v1.cri"]' > config.toml
containerd --config config.toml --state /run/unpack/state --address /run/unpack/socket &
for _ in $(seq 100); do ctr -a socket version > /dev/null 2>&1 && break; sleep 0.1; done
ctr -a socket -n k8s.io images import --all-platforms --digests "$1"
ctr -a socket -n k8s.io content prune references
for _ in $(seq 100); do
  [ "$(du -sm /var/lib/containerd/*content* | cut -f1)" -lt 5 ] && break
  sleep 0.1
done
kill %1 && wait || true
rm -rf /run/unpack "$1"
"""


@dataclass(frozen=True)
class Binaries:
    """The programs that are built from source."""

    kubernetes: Path
    coredns: Path
    pause: Path
    provisioner: Path


def tag(ctx: BuildContext) -> str:
    """Return the image's name, which has a fingerprint of everything that goes into it."""
    return f"{REPOSITORY}:{versions.KUBERNETES}-{_key(ctx)}"


def ensure(ctx: BuildContext) -> Path:
    """Return the image as a compressed archive for `docker load`; build it if necessary."""

    def make(target: Path) -> None:
        with Parallel() as parallel:
            root = parallel.start(lambda: debian.root_file_system(ctx, ROOT))
            binaries = parallel.start(lambda: build_binaries(ctx))

        debian.install(ctx, {"zstd": "zstd"}, debian.REGISTRY_ADVICE)
        with ctx.progress.step("node image assembly"), _scratch(target) as scratch:
            _assemble(ctx, root.get(), binaries.get(), scratch, target)

    return ctx.get_or_build("node image", "node-image", _key(ctx), make, suffix=".tar.zst")


def build_binaries(ctx: BuildContext) -> Binaries:
    """Build the programs of the image, starting with the one that takes the longest."""
    with Parallel() as parallel:
        kubernetes = parallel.start(lambda: golang.build(ctx, KUBERNETES))
        coredns = parallel.start(lambda: golang.build(ctx, COREDNS))
        provisioner = parallel.start(lambda: golang.build(ctx, PROVISIONER))
        pause = parallel.start(lambda: golang.build(ctx, PAUSE))
    return Binaries(kubernetes.get(), coredns.get(), pause.get(), provisioner.get())


def _key(ctx: BuildContext) -> str:
    modules = [
        ctx.package_folder / "go" / program.module for program in (KUBERNETES, COREDNS, PAUSE)
    ]
    pinned = (KUBERNETES, PROVISIONER, ROOT, versions.ETCD_IMAGE_TAG, versions.PAUSE_IMAGE_TAG)
    recipe = (debian.root_key(ROOT), Path(__file__), ctx.package_folder / "node")
    return fingerprint(repr(pinned), *recipe, *modules)


@contextlib.contextmanager
def _scratch(target: Path) -> Iterator[Path]:
    """Create a temporary folder next to `target`, because /tmp may be small.

    If this process is killed, the cache deletes the folder later.
    """
    folder = target.with_name(f"{target.name}.parts")
    folder.mkdir()
    try:
        yield folder
    finally:
        remove(folder)


def _assemble(
    ctx: BuildContext, root_tar: Path, binaries: Binaries, scratch: Path, target: Path
) -> None:
    root = scratch / "root"
    root.mkdir()
    shell.run(["tar", "-C", root, "--numeric-owner", "-xpf", root_tar])
    _unpack_images(root, binaries, scratch)
    _install(ctx.package_folder / "node", root)

    layer, image_tar = scratch / "layer.tar", scratch / "image.tar"
    archive.pack_layer(root, layer)
    image = archive.Image(
        (tag(ctx),),
        (layer,),
        entrypoint=("/usr/local/bin/entrypoint", "/sbin/init"),
        environment=("container=docker",),
    )
    archive.write([image], image_tar)
    shell.run(["zstd", "-q", "-T0", image_tar, "-o", target])


def _unpack_images(root: Path, binaries: Binaries, scratch: Path) -> None:
    """Import the control plane's images into the node's containerd."""
    inside = Path("/root/images.tar")
    archive.write(_images(root, binaries, scratch), root / inside.relative_to("/"))
    # With separate namespaces, no processes or mounts are left behind, even after a failure.
    isolated = ["unshare", "--mount", "--pid", "--fork", "--kill-child"]
    script = ["/bin/bash", "-euc", UNPACK_IMAGES, "unpack", str(inside)]
    shell.run([*isolated, f"--mount-proc={root}/proc", "chroot", root, *script])


def _images(root: Path, binaries: Binaries, scratch: Path) -> list[archive.Image]:
    """Return the images that kubeadm needs, with the names that it uses, and the provisioner's."""
    kubernetes, coredns, pause, provisioner = (
        scratch / f"{name}.tar" for name in ("kubernetes", "coredns", "pause", "provisioner")
    )
    archive.pack_files(_kubernetes_files(root, binaries.kubernetes), kubernetes)
    archive.pack_files({"coredns": binaries.coredns}, coredns)
    archive.pack_files({"pause": binaries.pause}, pause)
    archive.pack_files(_provisioner_files(root, binaries.provisioner), provisioner)

    registry = "registry.k8s.io"
    tags = [f"{registry}/{name}:{versions.KUBERNETES}" for name in COMPONENTS]
    tags.append(f"{registry}/etcd:{versions.ETCD_IMAGE_TAG}")

    return [
        archive.Image(tuple(tags), (kubernetes,), environment=PATH),
        archive.Image(
            (f"{registry}/coredns/coredns:{versions.COREDNS}",), (coredns,), ("/coredns",)
        ),
        archive.Image((f"{registry}/pause:{versions.PAUSE_IMAGE_TAG}",), (pause,), ("/pause",)),
        archive.Image((PROVISIONER_IMAGE,), (provisioner,), ("/provisioner",), PATH),
    ]


def _kubernetes_files(root: Path, binary: Path) -> dict[str, archive.Content]:
    files: dict[str, archive.Content] = {"tmp": None, "usr/local/bin/kube": binary}
    files.update({f"usr/local/bin/{name}": "kube" for name in (*COMPONENTS, "etcd")})
    files.update({name: _resolved(root, name) for name in _with_libraries(root, PROXY_TOOLS)})
    files[PROTOCOLS] = root / PROTOCOLS
    return files


def _provisioner_files(root: Path, binary: Path) -> dict[str, archive.Content]:
    # The provisioner creates and deletes the folders of volumes with busybox's shell.
    links = {f"bin/{name}": "busybox" for name in ("sh", "mkdir", "rm")}
    return {"provisioner": binary, "bin/busybox": root / "bin/busybox", **links}


def _with_libraries(root: Path, programs: Sequence[str]) -> list[str]:
    """Return the programs and the shared libraries that they load."""
    loaded = shell.output(["chroot", root, "ldd", *programs])
    libraries = {word for word in loaded.split() if word.startswith("/lib")}
    return [*programs, *sorted(libraries)]


def _resolved(root: Path, name: str) -> Path:
    """Follow symbolic links inside the root file system; return the path outside of it."""
    return root / shell.output(["chroot", root, "realpath", name]).strip().lstrip("/")


def _link_unpacked_kubernetes(root: Path) -> None:
    """Link the node's binary to the one in the Kubernetes image.

    A copy would make the archive 20% larger.
    """
    unpacked = root.glob("var/lib/containerd/*/snapshots/*/fs/usr/local/bin/kube")
    (root / "usr/bin/kube").hardlink_to(next(unpacked))


def _install(overlay: Path, root: Path) -> None:
    """Install the node's own files and programs."""
    for file in files_below(overlay):
        target = root / file.relative_to(overlay)
        target.parent.mkdir(parents=True, exist_ok=True)
        # The owner is not copied, because the checkout's owner does not exist on the node.
        shutil.copy(file, target)

    (root / "kind/version").write_text(versions.KUBERNETES)
    # This is the default for a file that kind mounts.
    shutil.copy(root / "etc/resolv.conf", root / "etc/kubelet-resolv.conf")
    (root / "etc/kubernetes/manifests").mkdir(parents=True)
    _link_unpacked_kubernetes(root)
    for name in ON_NODE:
        (root / "usr/bin" / name).symlink_to("kube")

    # The node's systemctl is used, because this machine may not have one.
    for change in (
        ("enable", "containerd.service", "kubelet.service"),
        ("set-default", "multi-user.target"),
        ("mask", *UNUSED_UNITS),
    ):
        shell.run(["chroot", root, "systemctl", "--root=/", "--quiet", *change])
