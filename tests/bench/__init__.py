"""Benchmarks.

`make bench` compares vision-node, Celery and one Job per image on the same two cores.

`__main__` is the entry point, and `arena` starts the cluster. `rounds` applies the loads defined in
`load` to each of the `systems` in turn. `measure` determines the CPU time and memory of each
component, and `report` writes `docs/benchmark.md`. `soak` is the soak test.
"""
