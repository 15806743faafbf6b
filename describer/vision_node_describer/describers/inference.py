"""Load models into onnxruntime, which runs them on one core without network access."""

from pathlib import Path

import onnxruntime

_FATAL_ONLY = 4


def load_session(model: Path) -> onnxruntime.InferenceSession:
    """Load a model from an ONNX file, to run on one core.

    A worker describes several pictures concurrently under a CPU limit, so one thread per
    picture is enough. By default, there would be one thread for each of the node's cores.
    """
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    # Otherwise, a memory pattern and its arena would be kept for each input shape. After reading
    # one page, they would take 190 MB.
    options.enable_mem_pattern = False
    # Keep freed memory for the next run. Otherwise, reading a page would take 90 MB less memory but
    # a third more time.
    options.enable_cpu_mem_arena = True
    options.log_severity_level = _FATAL_ONLY

    return onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
