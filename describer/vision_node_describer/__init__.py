"""The describer: a worker that takes assigned ImageJobs, describes their images and commits.

worker (loop) → attempt (one image: fetch, describe, commit) → describers/ (pure: bytes in,
Description out)
"""
