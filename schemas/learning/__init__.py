"""Schemas and record types of quantum.learning."""
