"""Schemas and record types of quantum.governance."""
