"""Schemas and record types of quantum.clock."""
