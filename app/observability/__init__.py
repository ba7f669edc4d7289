"""Metrics, a line in the log per transaction, and the libraries' own lines."""
