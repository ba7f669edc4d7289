"""Traffic as customers send it: HTTP only, knows nothing of what is behind it."""
