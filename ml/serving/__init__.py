"""Models at work: scoring, and the ensemble of their answers."""
