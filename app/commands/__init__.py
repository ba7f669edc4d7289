"""Commands of the faust CLI."""
