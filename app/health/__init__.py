"""Who is up, and whether the work moves."""
