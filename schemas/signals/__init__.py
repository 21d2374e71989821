"""Schemas and record types of quantum.signals."""
