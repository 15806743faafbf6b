"""Names that more than one room, or a user's manifest, relies on."""

GROUP = "vision-node.dev"
VERSION = "v1alpha1"
KIND = "ImageJob"
PLURAL = "imagejobs"
DESCRIBER_KIND = "Describer"
DESCRIBER_PLURAL = "describers"


def path_of(plural: str, namespace: str) -> str:
    """Return the path of our objects of one kind in the Kubernetes API."""
    return f"/apis/{GROUP}/{VERSION}/namespaces/{namespace}/{plural}"


OWNER_LABEL = f"{GROUP}/owner"
"""Who submitted an ImageJob."""

COMPONENT_LABEL = "app.kubernetes.io/component"
"""On every object of the chart and of the operator (Kubernetes' recommended labels)."""

WORKER_COMPONENT = "worker"
"""Component label of describer Jobs, their pods, and the Leases by which workers say that they
serve."""

DESCRIBER_LABEL = f"{GROUP}/describer"
"""On describer Jobs, their pods and Leases: the describer they run."""

WARNING_ANNOTATION = f"{GROUP}/warning"
"""On a worker's Lease: what its describer warns of, such as a model that will be shut down."""

REQUESTS_ANNOTATION = f"{GROUP}/requests-per-image"
"""On a worker's Lease: how many requests to its provider its describer makes for one image."""

RELEASE_CONFIGMAP = "vision-node-release"
"""ConfigMap that every namespace with a release has, from a chart that knows of it on."""

SIGNATURE = "vision-node-gpt"
"""`_generated_by` of every result, whichever describer worked."""
