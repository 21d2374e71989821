"""What touches the world: venues, the registry, the history store, Kafka for components."""
