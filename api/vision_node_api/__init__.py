"""The API: HTTP in, ImageJob out. It knows no Jobs and no pods.

routes (HTTP) → intake (pure: what is this upload?) → jobs (store, create, read back)
"""
