"""ImageBatches in the fault tests: thousands of images beside the single ones."""
