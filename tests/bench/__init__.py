"""`make bench` compares vision-node, Celery and one Job per image on the same two cores.

`__main__` is the entry point. `arena` starts the cluster, `rounds` applies the loads of `load` to
the `systems` in turn, `measure` reads how much CPU time and memory each component used, and
`report` writes `docs/benchmark.md`.
"""
