"""The recorder: frames of ``exchange.raw`` to compressed files that a replay gives back as they were."""
