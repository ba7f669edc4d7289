"""What became of each transaction, read from outside in Kafka, Cassandra and GET; and the demos that show it."""
