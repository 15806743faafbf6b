"""Convert published weights to the ONNX files of vision_node_local_models: `make models`.

It needs neither PyTorch nor TensorFlow, runs no code of the packages, and is in no image.
"""
