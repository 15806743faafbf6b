"""Watch Kubernetes, run the decision loop, and carry out the decisions."""
