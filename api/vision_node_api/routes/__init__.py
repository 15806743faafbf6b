"""The HTTP routes: they translate requests and answers, and decide nothing."""
