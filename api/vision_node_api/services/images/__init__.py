"""Send images of jobs to clients, as they were stored or as thumbnails."""
