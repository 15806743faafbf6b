"""HTTP routes: they translate requests and responses, and decide nothing."""
