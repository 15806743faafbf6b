"""HTTP basics: problem documents, connections, proxies, root path."""
