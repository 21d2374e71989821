"""The local history store: one process that owns a chDB path and speaks ClickHouse's HTTP interface."""
