"""`make bench`: this system, Celery and one Job per image, side by side on the same two cores.

`__main__` runs it: `arena` brings the cluster up, `rounds` lets the `systems` take turns under the
loads of `load`, `usage` tells what each component cost, and `report` says in `docs/benchmark.md`
what came of it.
"""
