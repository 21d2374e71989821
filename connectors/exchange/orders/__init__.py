"""The order gateway: commands from the log to a venue, each exactly once in effect, and what became of them back to the log."""
