"""Schemas and record types of quantum.health."""
