"""Convert published weights to the ONNX files of vision_node_local_models: `make models`.

This package needs neither PyTorch nor TensorFlow, and runs no code from the packages that contain
the weights. It is not part of any container image.
"""
