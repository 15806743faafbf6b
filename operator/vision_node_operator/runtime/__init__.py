"""The operator at work: watches Kubernetes, runs the loop, and writes what was decided."""
