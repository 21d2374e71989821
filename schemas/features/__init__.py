"""Schemas and record types of quantum.features."""
