"""`make soak`: submit thousands of images, and check that only their history grows.

`run` starts the cluster and controls the test. `load` submits the images, `sampler` reads the
curves through `sources`, `judge` compares the results with the bars, and `report` writes them.
"""
