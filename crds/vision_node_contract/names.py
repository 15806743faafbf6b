"""Names that are used in several packages or in users' manifests."""

GROUP = "vision-node.dev"
VERSION = "v1alpha1"
KIND = "ImageJob"
PLURAL = "imagejobs"
DESCRIBER_KIND = "Describer"
DESCRIBER_PLURAL = "describers"
BATCH_KIND = "ImageBatch"
BATCH_PLURAL = "imagebatches"


def path_of(plural: str, namespace: str) -> str:
    """Return the Kubernetes API path of our resource `plural` in a namespace."""
    return f"/apis/{GROUP}/{VERSION}/namespaces/{namespace}/{plural}"


OWNER_LABEL = f"{GROUP}/owner"
"""Label on an ImageJob. Its value is the name of the user who submitted the ImageJob."""

REUSE_LABEL = f"{GROUP}/reuse-key"
"""Label on an ImageJob that the API has created. Its value is the same for all submissions that
would get the same result: a hash of the owner, the image, the options, and the Describer's name and
state at the time of the submission."""

BATCH_LABEL = f"{GROUP}/batch"
"""Label on the shards of an ImageBatch. Its value is the ImageBatch's uid."""

COMPONENT_LABEL = "app.kubernetes.io/component"
"""Label on every object that the chart or the operator creates. It is one of Kubernetes'
recommended labels."""

WORKER_COMPONENT = "worker"
"""Value of the component label on describer Jobs, their pods, and the Leases that workers renew
while they serve."""

DESCRIBER_LABEL = f"{GROUP}/describer"
"""Label on describer Jobs, their pods and their Leases. Its value is the describer's name."""

WARNING_ANNOTATION = f"{GROUP}/warning"
"""Annotation on a worker's Lease. Its value is a warning from the worker's describer, for example,
that a model will be shut down."""

REQUESTS_ANNOTATION = f"{GROUP}/requests-per-image"
"""Annotation on a worker's Lease. Its value is the number of requests that the worker sends to the
provider for each image."""

ABILITIES_ANNOTATION = f"{GROUP}/abilities"
"""Annotation on a worker's Lease. Its value lists what the worker can do beyond describing single
images, separated by commas."""

SHARDS_ABILITY = "shards"
"""The ability to describe shards of ImageBatches. Workers of older releases lack it."""

PROGRESS_ANNOTATION = f"{GROUP}/shard-progress"
"""Annotation on a worker's Lease. It changes as long as the worker's shard makes progress.

It consists of the shard's uid, a slash, the number of images that have ended, a dot and the number
of steps of all attempts so far."""

RELEASE_CONFIGMAP = "vision-node-release"
"""Name of the ConfigMap that the chart creates with every release. Older charts did not create
it."""

SIGNATURE = "vision-node-gpt"
"""Value of `_generated_by` in every result, regardless of the describer."""
