"""Brings up a real Kubernetes cluster with everything of the project on it: `python3 -m cluster`."""

import sys

# Any Python 3 has to be able to read this file: macOS comes with 3.9.
if sys.version_info < (3, 11):  # noqa: UP036  # whoever runs an older one is to read this
    sys.exit(
        f"Python 3.11 or newer is needed; {sys.executable} is {sys.version.split()[0]}.\n"
        "If you have it under another name, pass that: make up PYTHON=python3.13\n"
        "Otherwise get it from https://www.python.org/downloads/ or your system's packages."
    )
