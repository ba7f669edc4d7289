"""Kafka in: a few lines each around batch processor and pipeline."""
