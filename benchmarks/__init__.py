"""Measures the running system from outside: it imports nothing of app/. Only the programs in peers/ do."""
