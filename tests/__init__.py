"""unit (no I/O), integration (one real neighbour each), system (black box, the whole stack)."""
