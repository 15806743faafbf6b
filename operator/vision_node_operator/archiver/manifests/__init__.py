"""Copy the list of an ImageBatch's images, from the inbox or its upload, to its frozen manifest."""
