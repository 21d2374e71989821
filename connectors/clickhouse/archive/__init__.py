"""The history as files: Parquet by table and day, with manifests that say what is in them.

::

    DIR/manifest.json             written last: what was exported, from which Kafka
    DIR/<table>/manifest.json     days of the table, files, rows, offsets, checksums
    DIR/<table>/<YYYY-MM-DD>.parquet

A day is a UTC day of ``_timestamp``, Kafka's time of a record. Within a file rows stand in order of partition and offset.
"""
