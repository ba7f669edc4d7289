"""One module of the app against one real server each."""
