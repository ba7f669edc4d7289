"""unit (no I/O), integration (one real server each), system (black box, the whole stack)."""
