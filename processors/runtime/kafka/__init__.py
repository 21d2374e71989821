"""The clients of a worker: its place in the group, its consumer, its transactional producer."""
