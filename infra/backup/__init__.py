"""A backup of the platform, and a platform made of it.

::

    DIR/manifest.json      written last: every other file with its checksum
    DIR/history/           the history, an archive of connectors.clickhouse.archive
    DIR/records/           records of the topics that a person writes: policy, its audit, active models
    DIR/registry.zip       the registry's content with its ids; registry.json says it in words
    DIR/topics.json        partitions and settings of the topics
    DIR/models/            artefacts
    DIR/secrets/           .env and the analysts, encrypted

A backup may also be one file, ``NAME.tar``, with the same inside.
"""
