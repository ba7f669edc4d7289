"""Cassandra, Redis or both written again from the topics."""
