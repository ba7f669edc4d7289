"""Doors out: each turns its library's errors into ours."""
