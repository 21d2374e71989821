"""Stage ``learning`` and the trainer: rewards, the retrain request when due, training, promotion."""
