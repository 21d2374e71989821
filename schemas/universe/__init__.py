"""Schemas and record types of quantum.universe."""
