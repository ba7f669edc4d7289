"""The wire formats, and the code generated from them."""
