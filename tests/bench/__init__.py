"""`make bench` compares vision-node, Celery and one Job per image on the same two cores.

`__main__` runs it: `arena` starts the cluster, `rounds` runs the loads of `load` on the `systems`
in turn, `measure` reads what each component used, and `report` writes `docs/benchmark.md`.
"""
