"""Pools of workers: the pod template of a Describer, with its sidecar and its fallback."""
