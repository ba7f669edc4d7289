"""Customer traffic over HTTP; knows nothing of what is behind the API."""
