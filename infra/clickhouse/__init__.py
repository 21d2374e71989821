"""Migrations of the history store, applied in the order of their numbers by ``connectors.clickhouse.migrate``."""
