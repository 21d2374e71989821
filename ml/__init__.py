"""Features, models, training and serving; pure, without Kafka."""
