"""Names of the Celery system's tasks. Producers need them, but not the tasks' modules."""

TASK = "describe"
"""Describes the image of a job that the API has stored."""

FILE_TASK = "describe_file"
"""Describes an image on the local disk."""

OBJECT_TASK = "describe_object"
"""Describes an image in the bucket."""
