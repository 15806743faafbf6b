"""Pools of workers: a Describer's pod template, including its sidecar and its fallback."""
