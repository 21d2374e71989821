"""The stack on one machine: Kafka, the schema registry and the history store as child processes, without Docker or a system Java."""
