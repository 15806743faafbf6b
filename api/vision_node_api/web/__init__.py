"""HTTP basics: problem documents, connections, proxies and the root path."""
