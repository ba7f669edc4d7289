"""Measures the running system from outside: it imports nothing of app/."""
