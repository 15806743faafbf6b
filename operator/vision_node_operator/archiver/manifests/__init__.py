"""Copy the list of an ImageBatch's images from the inbox to its frozen manifest."""
