"""Schemas and record types of quantum.market."""
