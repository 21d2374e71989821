"""Schemas and record types of quantum.exits."""
