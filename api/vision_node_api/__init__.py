"""The HTTP API: a client submits an image, and the API creates an ImageJob for it.

It knows nothing of Jobs and pods, which are the operator's. The layers, from the top:

app         puts everything together
routes, ui  translate HTTP requests and responses; middleware handles what concerns every request
services    decide: submit a job, read its result, keep the inbox, report health
watch       caches of ImageJobs and Describers; uploads: receive and check images
web         HTTP basics: problem documents, proxies, root path
"""
