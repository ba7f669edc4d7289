"""Tests that change a stack for good: each module starts one of its own, with no data."""
