"""Kafka for components: processes that are not stages."""
