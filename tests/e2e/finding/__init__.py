"""Tests of finding jobs: filters, details and exports, in etcd and in the history."""
