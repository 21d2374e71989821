"""Schemas and record types of quantum.execution."""
