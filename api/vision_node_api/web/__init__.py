"""HTTP itself: protocol, proxies, middleware and problem documents; no route."""
