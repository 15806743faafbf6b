"""The worker, which describes the images of the ImageJobs that the operator assigns to it.

The main loop (worker.py) starts an attempt for each image. The attempt fetches the image, describes
it and commits the outcome (attempt.py). The describers (describers/) turn the bytes of an image
into a Description; they know nothing about Kubernetes or storage.
"""
