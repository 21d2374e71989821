"""Schemas and record types of quantum.positions."""
