"""What of Faust's settings the runtime follows, what has no meaning under it, and what it refuses at start-up.

Every setting of Faust's is in exactly one of the three tables; a test compares them with Faust's own list, so that one that a
newer Faust brings cannot be overlooked.
"""

from __future__ import annotations

import ssl
from collections.abc import Mapping
from typing import Any

from faust.auth import SASLCredentials
from faust.types.settings import Settings
from mode.utils.imports import symbol_by_name

from processors.runtime.state.disk import is_on_disk
from quantum.errors import ConfigurationError

#: Settings that mean what they mean in Faust.
FOLLOWED = frozenset({
    "autodiscover", "blocking_timeout", "broker", "broker_check_crcs", "broker_client_id", "broker_credentials",
    "broker_max_poll_interval", "broker_session_timeout", "cache", "canonical_url", "consumer_auto_offset_reset",
    "consumer_group_instance_id", "datadir", "debug", "env_prefix", "id_format", "key_serializer", "logging_config", "loghandlers",
    "origin", "producer_compression_type", "producer_max_request_size", "store", "tabledir", "timezone", "topic_allow_declare",
    "topic_partitions", "topic_replication_factor", "url", "value_serializer", "version", "web", "web_application_options",
    "web_bind", "web_cors_options", "web_enabled", "web_host", "web_port", "web_ssl_context", "web_transport",
    "worker_redirect_stdouts", "worker_redirect_stdouts_level", "Event", "HttpClient", "Schema", "Serializers", "Worker",
})  # fmt: skip

#: Settings of parts of Faust that do not run under the runtime, and what stands in their place. Whatever they are, nothing is promised
#: less for it.
WITHOUT_EFFECT: Mapping[str, str] = {
    "aerospike_retries_on_exception": "there is no Aerospike store",
    "aerospike_sleep_seconds_between_retries_on_exception": "there is no Aerospike store",
    "broker_api_version": "librdkafka asks the broker",
    "broker_commit_every": "an epoch ends after max_records",
    "broker_commit_interval": "an epoch ends after max_seconds, and at once when the input is idle",
    "broker_commit_livelock_soft_timeout": "an epoch cannot commit without progress",
    "broker_heartbeat_interval": "heartbeats come from librdkafka's own thread, six in a session timeout",
    "broker_max_poll_records": "an epoch takes at most max_records",
    "broker_rebalance_timeout": "a rebalance waits for the open epoch, which max_seconds ends",
    "broker_request_timeout": "librdkafka's, through kafka={'socket.timeout.ms': ...}",
    "consumer_api_version": "librdkafka asks the broker",
    "consumer_connections_max_idle_ms": "librdkafka's, through kafka={'connections.max.idle.ms': ...}",
    "consumer_max_fetch_size": "librdkafka's, through kafka={'max.partition.fetch.bytes': ...}",
    "consumer_metadata_max_age_ms": "librdkafka's, through kafka={'metadata.max.age.ms': ...}",
    "crash_app_on_aerospike_exception": "there is no Aerospike store",
    "cython_optimizations": "streams are the runtime's own",
    "processing_guarantee": "always exactly once",
    "producer_acks": "always all: a transaction needs it",
    "producer_api_version": "librdkafka asks the broker",
    "producer_connections_max_idle_ms": "librdkafka's, through kafka={'connections.max.idle.ms': ...}",
    "producer_linger": "an epoch is written at once",
    "producer_linger_ms": "an epoch is written at once",
    "producer_max_batch_size": "librdkafka's, through kafka={'batch.size': ...}",
    "producer_metadata_max_age_ms": "librdkafka's, through kafka={'metadata.max.age.ms': ...}",
    "producer_request_timeout": "transaction_timeout",
    "producer_threaded": "Kafka has a thread of its own always",
    "recovery_consistency_check": "a restore always reads to the end that its committed offsets need",
    "reply_create_topic": "there are no replies, see agent.ask",
    "reply_expires": "there are no replies, see agent.ask",
    "reply_to": "there are no replies, see agent.ask",
    "reply_to_prefix": "there are no replies, see agent.ask",
    "store_check_exists": "a store is asked once",
    "stream_ack_cancelled_tasks": "an epoch's commit acknowledges all of its records",
    "stream_ack_exceptions": "a record whose agent raises is tried again, then a dead letter",
    "stream_buffer_maxsize": "an inbox never has more than an epoch",
    "stream_processing_timeout": "the epoch waits for its agents",
    "stream_publish_on_commit": "always: what is sent is written by the epoch's transaction",
    "stream_recovery_delay": "work begins as soon as the tables are there",
    "stream_wait_empty": "always: no partition is given up with an event in hand",
    "table_cleanup_interval": "windows expire with the stream's time, at the end of an epoch",
    "table_key_index_size": "a key index is a table",
    "topic_disable_leader": "the leader needs no topic: it owns partition 0 of the first input topic",
    "web_graph_enabled": "what Faust's own pages show of its monitor would be wrong: see the Prometheus metrics",
    "web_metrics_enabled": "what Faust's own pages show of its monitor would be wrong: see the Prometheus metrics",
    "web_router_enabled": "Faust's own pages are not served",
    "web_stats_enabled": "what Faust's own pages show of its monitor would be wrong: see the Prometheus metrics",
    "web_tables_enabled": "Faust's own pages are not served",
}

#: Settings that are refused where they are not Faust's default, and what to do instead.
REFUSED: Mapping[str, str] = {
    "agent_supervisor": "an agent that raises is started again and its record tried again: see max_retries and dead_letters",
    "broker_consumer": "give broker= alone: a transaction is of one cluster",
    "broker_producer": "give broker= alone: a transaction is of one cluster",
    "producer_partitioner": "give the partition with each send: topic.send(partition=...)",
    "ssl_context": "give librdkafka's settings: kafka={'security.protocol': 'SSL', 'ssl.ca.location': ...}",
    "table_standby_replicas": "leave it out: a worker restores its tables from its store and their changelogs",
    "web_in_thread": "leave it out: pages read tables, which belong to the worker's loop",
    "ConsumerScheduler": "leave it out: records are taken as they come, or by time with event_time_order=True",
    "GlobalTable": "send the records to every partition of a topic and keep them in an app.Table",
    "LeaderAssignor": "leave it out: the owner of partition 0 of the first input topic is the leader",
    "Monitor": "use the Prometheus metrics: metrics=CollectorRegistry()",
    "PartitionAssignor": "leave it out: partitions with the same number always come together",
    "Router": "let each worker answer for its own partitions",
    "SetGlobalTable": "keep lists in an app.Table and write them back",
    "SetTable": "keep lists in an app.Table and write them back",
    "TableManager": "leave it out: the runtime restores tables itself",
}

#: Classes that the runtime derives its own from; App checks that a class that is given is derived from them.
DERIVED = frozenset({"Agent", "Stream", "Table", "Topic"})

_MECHANISMS = frozenset({"PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"})
_SCHEMES = frozenset({"kafka", "aiokafka", "confluent"})
_SESSION_S = 10.0


def check_settings(conf: Settings) -> None:
    """Raise for the first setting that asks for something that the runtime does not do.

    Raises
    ------
    ConfigurationError
        The setting and the alternative.
    """
    for name, instead in REFUSED.items():
        if not _is_default(conf, name):
            raise ConfigurationError(f"App({name}={getattr(conf, name)!r}) is not supported by the exactly-once runtime", instead)
    if conf.consumer_auto_offset_reset not in ("earliest", "latest"):
        raise ConfigurationError(
            f"App(consumer_auto_offset_reset={conf.consumer_auto_offset_reset!r}) is not supported by the exactly-once runtime",
            "use 'earliest' or 'latest'",
        )
    schemes = {url.scheme for url in conf.broker} - _SCHEMES
    if schemes:
        raise ConfigurationError(
            f"App(broker=...) with {sorted(schemes)} is not supported by the exactly-once runtime", "use kafka://host:port"
        )
    is_on_disk(conf.store, "App(store=...)")
    credentials(conf)


def _is_default(conf: Settings, name: str) -> bool:
    setting = conf.SETTINGS[name]
    value, default = getattr(conf, name), setting.default
    if name in ("broker_consumer", "broker_producer"):
        return bool(value == conf.broker)
    if isinstance(default, str) and isinstance(value, type):
        return f"{value.__module__}.{value.__qualname__}" == _full_name(default)
    return bool(value == default)


def _full_name(symbol: str) -> str:
    found: Any = symbol_by_name(symbol)
    return f"{found.__module__}.{found.__qualname__}"


def credentials(conf: Settings) -> dict[str, Any]:
    """Return librdkafka's settings for Faust's credentials: user name and password without encryption, everything else is refused.

    Raises
    ------
    ConfigurationError
        librdkafka cannot be given them: it does not take Python's SSL contexts.
    """
    given = conf.broker_credentials
    if given is None:
        return {}
    mechanism = getattr(getattr(given, "mechanism", None), "value", "")
    if not isinstance(given, SASLCredentials) or given.ssl_context is not None or mechanism not in _MECHANISMS:
        raise ConfigurationError(
            f"App(broker_credentials={given!r}) is not supported by the exactly-once runtime",
            "give librdkafka's settings: kafka={'security.protocol': 'SASL_SSL', 'sasl.mechanism': ..., 'ssl.ca.location': ...}",
        )
    return {
        "security.protocol": "SASL_PLAINTEXT",
        "sasl.mechanism": mechanism,
        "sasl.username": given.username,
        "sasl.password": given.password,
    }


def aiokafka_security(given: Mapping[str, Any]) -> dict[str, Any]:
    """Return librdkafka's security settings as aiokafka wants them."""
    names = {
        "security.protocol": "security_protocol",
        "sasl.mechanism": "sasl_mechanism",
        "sasl.username": "sasl_plain_username",
        "sasl.password": "sasl_plain_password",
    }
    settings: dict[str, Any] = {theirs: given[ours] for ours, theirs in names.items() if ours in given}
    if "security_protocol" in settings:
        settings["security_protocol"] = str(settings["security_protocol"]).upper()
    if "SSL" in settings.get("security_protocol", "").split("_"):
        context = settings["ssl_context"] = ssl.create_default_context(cafile=given.get("ssl.ca.location"))
        if given.get("ssl.certificate.location"):
            context.load_cert_chain(given["ssl.certificate.location"], given.get("ssl.key.location"), given.get("ssl.key.password"))
        if given.get("ssl.endpoint.identification.algorithm") == "none":
            context.check_hostname = False
        if str(given.get("enable.ssl.certificate.verification", True)).lower() == "false":
            context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    return settings


def consumer_settings(conf: Settings) -> dict[str, Any]:
    """Return librdkafka's settings of a consumer for Faust's."""
    return {"check.crcs": conf.broker_check_crcs, "max.poll.interval.ms": int(conf.broker_max_poll_interval * 1000)}


def producer_settings(conf: Settings) -> dict[str, Any]:
    """Return librdkafka's settings of a producer for those of Faust's that were given."""
    settings: dict[str, Any] = {}
    if conf.producer_compression_type:
        settings["compression.type"] = conf.producer_compression_type
    if not _is_default(conf, "producer_max_request_size"):
        settings["message.max.bytes"] = conf.producer_max_request_size
    return settings


def session_timeout(conf: Settings, given: float | None) -> float:
    """Return the group's session timeout in seconds: what App was given, or Faust's setting where it was given, or 10."""
    if given is not None:
        return given
    return _SESSION_S if _is_default(conf, "broker_session_timeout") else float(conf.broker_session_timeout)
