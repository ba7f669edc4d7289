"""Kafka in: a few lines each around delivery and pipeline."""
