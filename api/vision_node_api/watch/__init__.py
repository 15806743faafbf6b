"""What a watch shows, kept in memory so that reads cost the API server nothing."""
