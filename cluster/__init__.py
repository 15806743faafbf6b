"""Run the project on a real Kubernetes cluster: `python3 -m cluster`."""

import sys

# Any Python 3 must be able to parse this file, because macOS comes with Python 3.9.
if sys.version_info < (3, 11):  # noqa: UP036  # the message is for users of older versions
    sys.exit(
        f"Python 3.11 or newer is needed; {sys.executable} is {sys.version.split()[0]}.\n"
        "If it is installed under another name, pass that name: make up PYTHON=python3.13\n"
        "Otherwise get it from https://www.python.org/downloads/ or your system's packages."
    )
