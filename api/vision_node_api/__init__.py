"""The HTTP API, which creates an ImageJob for each image that a client submits.

The API does not deal with Jobs and pods, because the operator manages them. The API's modules and
packages, from the top layer to the bottom layer, are:

- app assembles the application.
- routes, ui and middleware translate HTTP requests and responses.
- services submits jobs, reads results, manages the inbox and reports health.
- watch caches ImageJobs and Describers, and uploads receives and checks images.
- web provides HTTP basics such as problem documents, trusted proxies and the root path.
"""
