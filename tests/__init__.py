"""The tests: unit (no I/O), integration (real servers), system (from outside)."""
