"""The operator launches workers and assigns queued ImageJobs to the workers that are running.

runtime/ watches Kubernetes and is the only part that writes to it. state/ holds the observed
objects, and decisions/ decides what to do next. state/ and decisions/ are pure: they have no client
and no clock.
"""
