"""The history store: ClickHouse, or chDB behind its HTTP interface."""
