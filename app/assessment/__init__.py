"""Asking antifraud, and what happens while no replica answers."""
