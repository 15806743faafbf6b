"""The worker: describes the images of ImageJobs that the operator assigns to it.

worker (main loop) → attempt (one image: fetch, describe, commit) → describers/ (pure: bytes in,
Description out)
"""
