"""Execution: intents become order commands with deterministic ids, each once."""
