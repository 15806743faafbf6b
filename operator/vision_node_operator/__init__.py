"""The operator: assigns queued ImageJobs to workers that are already running.

runtime/ watches Kubernetes and is the only part that writes to it, state/ holds what was seen, and
decisions/ decides what to do next. The latter two are pure: they have no client and no clock.
"""
