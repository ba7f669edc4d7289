"""Negative controls: the same workers and Envoy without one safeguard; the exercise must fail with them."""
