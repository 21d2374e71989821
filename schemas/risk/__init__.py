"""Schemas and record types of quantum.risk."""
