"""Training alone: simulated worlds, what simpler judges reach, and the fitting. Serving imports nothing of it."""
