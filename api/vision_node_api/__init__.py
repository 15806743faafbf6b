"""The HTTP API, which creates an ImageJob for each image that a client submits.

The API does not deal with Jobs and pods, because the operator manages them. Its layers, from top to
bottom:

app: assembles the application
routes, ui, middleware: translate HTTP requests and responses
services: submit jobs, read results, manage the inbox and report health
watch, uploads: cache ImageJobs and Describers, and receive and check images
web: provides HTTP basics such as problem documents, trusted proxies and the root path
"""
