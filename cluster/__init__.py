"""Brings up a real Kubernetes cluster with everything of the project on it: `python3 -m cluster`."""

import sys

if sys.version_info < (3, 11):  # noqa: UP036  # whoever runs an older one is to read this
    sys.exit(f"Python 3.11 or newer is needed; this is {sys.version.split()[0]}.")
