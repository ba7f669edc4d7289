"""Cassandra and Redis; a library's errors become ours here."""
