"""The HTTP API: a client submits an image, and the API creates an ImageJob for it.

It knows nothing of Jobs and pods, which are the operator's. Its layers, from the top:

app: puts everything together
routes, ui, middleware: translate HTTP requests and responses
services: submit jobs, read results, keep the inbox, report health
watch, uploads: cache ImageJobs and Describers; receive and check images
web: HTTP basics such as problem documents, proxies and the root path
"""
