"""Brings up a real Kubernetes cluster with everything of the project on it: `python3 -m cluster`."""
