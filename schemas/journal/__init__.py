"""Schemas and record types of quantum.journal."""
