"""Everything that speaks Kafka or the Schema Registry; a library's errors become ours here."""
