"""What the operator knows: ImageJobs, workers and Describers as the watches last showed them."""
