"""Local order books: snapshots and diffs of a venue joined by its own sequence rules; pure."""
