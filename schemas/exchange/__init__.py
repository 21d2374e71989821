"""Schemas and record types of quantum.exchange."""
