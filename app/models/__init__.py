"""Values: what travels through the pipeline. No I/O."""
