"""Settings, errors, clock, logging and the ``quantum`` command."""
