"""The HTTP API: a client submits an image, and the API creates an ImageJob for it.

It does not deal with Jobs and pods, which the operator manages. Its layers, from top to bottom:

app: puts everything together
routes, ui, middleware: translate HTTP requests and responses
services: submit jobs, read results, keep the inbox, report health
watch, uploads: cache ImageJobs and Describers; receive and check images
web: HTTP basics such as problem documents, proxies and the root path
"""
