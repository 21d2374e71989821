"""Avro schemas of every topic and the record types that belong to them."""
