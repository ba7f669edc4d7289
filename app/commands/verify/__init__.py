"""Log, Cassandra and Redis compared."""
