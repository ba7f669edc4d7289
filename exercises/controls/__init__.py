"""The same workers and the same Envoy with one protection taken out: with it gone, an exercise must fail."""
