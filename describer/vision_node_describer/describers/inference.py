"""Load models for onnxruntime, which runs them on one core without network access."""

from pathlib import Path

import onnxruntime

_FATAL_ONLY = 4


def load_session(model: Path, *, arena: bool = True) -> onnxruntime.InferenceSession:
    """Load a model, to run on one core.

    A worker describes several pictures concurrently and has a CPU limit, so that one thread for
    each is enough. By default, there would be a thread for each of the node's cores.

    Args:
        model: An ONNX file.
        arena: Whether freed memory is kept for the next run. Without it, reading a page takes 90 MB
            less memory, but a third more time.
    """
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    # Otherwise, a memory pattern and its arena would be kept for each input shape: 190 MB more
    # after reading one page.
    options.enable_mem_pattern = False
    options.enable_cpu_mem_arena = arena
    options.log_severity_level = _FATAL_ONLY

    return onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
