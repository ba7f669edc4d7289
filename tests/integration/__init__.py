"""One room of the app against one real neighbour each."""
