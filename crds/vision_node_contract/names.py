"""Names that several packages, or users' manifests, rely on."""

GROUP = "vision-node.dev"
VERSION = "v1alpha1"
KIND = "ImageJob"
PLURAL = "imagejobs"
DESCRIBER_KIND = "Describer"
DESCRIBER_PLURAL = "describers"


def path_of(plural: str, namespace: str) -> str:
    """Return the path in the Kubernetes API of our objects of one kind."""
    return f"/apis/{GROUP}/{VERSION}/namespaces/{namespace}/{plural}"


OWNER_LABEL = f"{GROUP}/owner"
"""Label of an ImageJob: the user who submitted it."""

COMPONENT_LABEL = "app.kubernetes.io/component"
"""Label of every object of the chart and the operator (one of Kubernetes' recommended labels)."""

WORKER_COMPONENT = "worker"
"""Value of the component label on describer Jobs, their pods, and the Leases that workers renew
while they serve."""

DESCRIBER_LABEL = f"{GROUP}/describer"
"""Label of describer Jobs, their pods and Leases: the describer they run."""

WARNING_ANNOTATION = f"{GROUP}/warning"
"""Annotation of a worker's Lease: a warning of its describer, such as a model's shutdown."""

REQUESTS_ANNOTATION = f"{GROUP}/requests-per-image"
"""Annotation of a worker's Lease: the number of requests to the provider that one image takes."""

RELEASE_CONFIGMAP = "vision-node-release"
"""Name of the ConfigMap that the chart creates with every release. Older charts did not."""

SIGNATURE = "vision-node-gpt"
"""Value of `_generated_by` in every result, whichever describer made it."""
