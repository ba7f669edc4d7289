"""What was decided, measured by the labels that have arrived."""
