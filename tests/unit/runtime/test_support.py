"""The whole of Faust's programming interface: every name of it works, or has no meaning under the runtime, or is refused by name."""

from __future__ import annotations

import inspect
import ssl
from collections.abc import Callable
from typing import Any

import faust
import pytest
from faust.agents.agent import Agent as FaustAgent
from faust.auth import OAuthCredentials
from faust.events import Event as FaustEvent
from faust.streams import Stream as FaustStream
from faust.tables import Table as FaustTable
from faust.tables.base import Collection as FaustCollection
from faust.tables.wrappers import WindowSet, WindowWrapper
from faust.topics import Topic as FaustTopic
from faust.types.settings import Settings
from mode import CrashingSupervisor
from prometheus_client import CollectorRegistry

from processors.runtime import App
from processors.runtime.api.agents import Agent
from processors.runtime.api.streams import Stream
from processors.runtime.api.support import (
    DERIVED,
    FOLLOWED,
    REFUSED,
    WITHOUT_EFFECT,
    consumer_settings,
    credentials,
    producer_settings,
    session_timeout,
)
from quantum.errors import ConfigurationError


def make(**options: Any) -> App:
    return App("support", metrics=CollectorRegistry(), **options)


#: By Faust's class: what a program may use, tested with the sample programs and the semantics on a broker.
WORKS: dict[type, str] = {
    faust.App: """Table Worker actor agent cache command conf config_from_object crontab discover finalize http_client in_transaction
        is_leader label main page producer send serializers service shortlabel stream tables task timer topic topics trace traced tracer
        web web_server web_server_driver_version web_server_url""",
    FaustAgent: "add_sink cast channel clone get_topic_names info label send shortlabel stream",
    FaustStream: """ack add_processor clone derive_topic echo enumerate events filter get_active_stream get_root_stream group_by
        info items label shortlabel take take_events through""",
    FaustTopic: "declare derive derive_topic get_topic_name maybe_declare partitions send send_soon",
    FaustCollection: "changelog_topic changelog_topic_name clone info label on_recover partition_for_key reset_state shortlabel",
    FaustTable: "as_ansitable hopping tumbling using_window",
    WindowWrapper: """as_ansitable clone get_relative_timestamp get_timestamp items key_index key_index_table keys name on_recover
        relative_to relative_to_field relative_to_now relative_to_stream values""",
    WindowSet: "apply current delta now value items keys values",
    FaustEvent: "ack forward send",
}

#: Faust's own wiring, which programs do not call.
INTERNAL: dict[type, str] = {
    faust.App: """BootStrategy FlowControlQueue SCAN_CATEGORIES Settings client_only create_event flow_control logger on_first_start
        on_init_dependencies on_init_extra_service on_rebalance_end on_rebalance_return on_rebalance_start on_start on_started
        on_started_init_extra_services on_started_init_extra_tasks on_started_init_web_server on_stop on_webserver_init producer_only
        producer_transport transport worker_init worker_init_post_autodiscover""",
    FaustAgent: """actor_from_stream actor_tracebacks cancel channel_iterator logger on_init_dependencies on_isolated_partitions_assigned
        on_isolated_partitions_revoked on_partitions_assigned on_partitions_revoked on_shared_partitions_assigned
        on_shared_partitions_revoked on_start on_stop supervisor""",
    FaustStream: "contribute_to_stream events_total logger mundane_level on_merge on_start on_stop remove_from_stream stop",
    FaustTopic: "on_stop_iteration",
    FaustCollection: """apply_changelog_batch call_recover_callbacks contribute_to_stream data logger need_active_standby_for
        on_changelog_event on_rebalance on_recovery_completed on_start on_window_close persisted_offset remove_from_stream
        send_changelog""",
    FaustTable: "WindowWrapper logger on_clear on_key_del on_key_get on_key_set",
    WindowWrapper: "ValueType on_del_key on_set_key",
    WindowSet: "",
    FaustEvent: "",
}

Call = Callable[[App], Any]


def agent_of(app: App) -> Agent:
    """Return an agent of an application."""

    async def work(stream: Any) -> None:
        async for _ in stream:
            pass

    made = app.agent(app.topic("agents-topic"), name="work")(work)
    assert isinstance(made, Agent)
    return made


def stream_of(app: App) -> Stream:
    """Return the stream of an agent."""
    made = agent_of(app).stream()
    assert isinstance(made, Stream)
    return made


def topic_of(app: App) -> Any:
    """Return a topic."""
    return app.topic("some-topic")


def set_monitor(app: App) -> None:
    """Give the application a monitor."""
    app.monitor = object()


#: What is refused: by Faust's class and name, how a program comes to it.
REFUSALS: dict[tuple[type, str], Call] = {
    (faust.App, "GlobalTable"): lambda app: app.GlobalTable("t"),
    (faust.App, "LiveCheck"): lambda app: app.LiveCheck(),
    (faust.App, "SetGlobalTable"): lambda app: app.SetGlobalTable("t"),
    (faust.App, "SetTable"): lambda app: app.SetTable("t"),
    (faust.App, "assignor"): lambda app: app.assignor,
    (faust.App, "channel"): lambda app: app.channel(),
    (faust.App, "commit"): lambda app: app.commit({"t"}),
    (faust.App, "consumer"): lambda app: app.consumer,
    (faust.App, "maybe_start_client"): lambda app: app.maybe_start_client(),
    (faust.App, "maybe_start_producer"): lambda app: app.maybe_start_producer(),
    (faust.App, "monitor"): lambda app: app.monitor,
    (faust.App, "router"): lambda app: app.router,
    (faust.App, "start_client"): lambda app: app.start_client(),
    (faust.App, "table_route"): lambda app: app.table_route(app.Table("t"), query_param="key"),
    (faust.App, "topic_route"): lambda app: app.topic_route(topic_of(app), query_param="key"),
    (FaustAgent, "ask"): lambda app: agent_of(app).ask(1),
    (FaustAgent, "ask_nowait"): lambda app: agent_of(app).ask_nowait(1),
    (FaustAgent, "join"): lambda app: agent_of(app).join([1]),
    (FaustAgent, "kvjoin"): lambda app: agent_of(app).kvjoin([(1, 1)]),
    (FaustAgent, "kvmap"): lambda app: agent_of(app).kvmap([(1, 1)]),
    (FaustAgent, "map"): lambda app: agent_of(app).map([1]),
    (FaustAgent, "test_context"): lambda app: agent_of(app).test_context(),
    (FaustStream, "combine"): lambda app: stream_of(app) & stream_of(app),
    (FaustStream, "inner_join"): lambda app: stream_of(app).inner_join(),
    (FaustStream, "join"): lambda app: stream_of(app).join(),
    (FaustStream, "left_join"): lambda app: stream_of(app).left_join(),
    (FaustStream, "noack"): lambda app: stream_of(app).noack(),
    (FaustStream, "noack_take"): lambda app: stream_of(app).noack_take(1, 1),
    (FaustStream, "outer_join"): lambda app: stream_of(app).outer_join(),
    (FaustStream, "take_with_timestamp"): lambda app: stream_of(app).take_with_timestamp(1, 1, "at"),
    (FaustStream, "throw"): lambda app: stream_of(app).throw(ValueError()),
    (FaustTopic, "pattern"): lambda app: app.agent(app.topic(pattern="a.*"), name="p")(_nothing).stream(),
    (FaustTopic, "publish_message"): lambda app: topic_of(app).publish_message(None),
    (FaustTopic, "put"): lambda app: topic_of(app).put(None),
    (FaustCollection, "combine"): lambda app: app.Table("t") & app.Table("u"),
    (FaustCollection, "inner_join"): lambda app: app.Table("t").inner_join(),
    (FaustCollection, "join"): lambda app: app.Table("t").join(),
    (FaustCollection, "left_join"): lambda app: app.Table("t").left_join(),
    (FaustCollection, "outer_join"): lambda app: app.Table("t").outer_join(),
}

#: Arguments and further ways that are refused.
OTHERS: dict[str, Call] = {
    "App(monitor=": lambda _: make(monitor=object()),
    "App(Table=": lambda _: make(Table=FaustTable),
    "app.monitor =": set_monitor,
    "app.sensors.add": lambda app: app.sensors.add(object()),  # type: ignore[arg-type]  # any sensor
    "isolated_partitions": lambda app: app.agent(topic_of(app), isolated_partitions=True)(_nothing),
    "supervisor_strategy": lambda app: app.agent(topic_of(app), supervisor_strategy=CrashingSupervisor)(_nothing),
    "topic.get": lambda app: topic_of(app).get(),
    "async for": lambda app: anext(topic_of(app)),
    "acks=False": lambda app: app.topic("t", acks=False),
    "on_window_close": lambda app: app.Table("t", on_window_close=print),
    "on_changelog_event": lambda app: app.Table("t", on_changelog_event=print),
    "use_partitioner": lambda app: app.Table("t", use_partitioner=True),
    "GlobalTable": lambda app: app.Table("t", is_global=True),
    "outside of an agent": lambda app: app.stream(topic_of(app)),
    "callback": lambda app: _sending(app, callback=print),
    "send_soon": lambda app: topic_of(app).send_soon(value=1),
    "on_produce_message": lambda app: _finalize_listening(app),
}


#: Those that name the part of Faust that they stand for.
NAMED = {
    "maybe_start_client": "start_client", "agent.ask_nowait": "ask", "agent.map": "ask", "agent.kvmap": "ask", "agent.join": "ask",
    "agent.kvjoin": "ask", "inner_join": "join", "left_join": "join", "outer_join": "join", "combine": " & ",
}  # fmt: skip


async def _nothing(stream: Any) -> None:
    async for _ in stream:
        pass


async def _sending(app: App, **options: Any) -> None:
    await topic_of(app).send(value=1, **options)


def _finalize_listening(app: App) -> None:
    signal: Any = app.on_produce_message
    signal.connect(_nothing, weak=False)
    try:
        app.finalize()
    finally:
        signal.disconnect(_nothing)  # Mode knows a sender by its address, which a later app may have


async def demand(call: Call) -> None:
    """Use something, awaiting what is to be awaited."""
    answer = call(make())
    if inspect.isawaitable(answer):
        await answer


@pytest.mark.parametrize("kind", list(WORKS), ids=lambda kind: kind.__name__)
def test_every_public_name_is_accounted_for(kind: type) -> None:
    names = {name for name in vars(kind) if not name.startswith("_")}
    works, internal = set(WORKS[kind].split()), set(INTERNAL[kind].split())
    refused = {name for owner, name in REFUSALS if owner is kind}
    assert not works & internal
    assert not (works | internal) & refused
    assert works | internal | refused == names


@pytest.mark.parametrize(("kind", "name"), list(REFUSALS), ids=lambda value: value if isinstance(value, str) else value.__name__)
async def test_what_is_refused_names_itself_and_the_alternative(kind: type, name: str) -> None:
    with pytest.raises(ConfigurationError) as raised:
        await demand(REFUSALS[kind, name])
    assert NAMED.get(name if kind is not FaustAgent else f"agent.{name}", name) in str(raised.value)
    assert raised.value.remedy


@pytest.mark.parametrize("what", list(OTHERS))
async def test_arguments_that_are_refused_name_themselves(what: str) -> None:
    with pytest.raises(ConfigurationError, match=what.replace("(", r"\(").replace("...", ".*")) as raised:
        await demand(OTHERS[what])
    assert raised.value.remedy


def test_every_setting_is_accounted_for_once() -> None:
    tables: list[set[str]] = [set(FOLLOWED), set(WITHOUT_EFFECT), set(REFUSED), set(DERIVED)]
    assert set().union(*tables) == set(Settings.SETTINGS)
    assert sum(map(len, tables)) == len(Settings.SETTINGS)


GIVEN: dict[str, Any] = {
    "agent_supervisor": CrashingSupervisor,
    "broker_consumer": "kafka://elsewhere",
    "broker_producer": "kafka://elsewhere",
    "producer_partitioner": lambda key, every, available: 0,
    "ssl_context": ssl.create_default_context(),
    "table_standby_replicas": 2,
    "web_in_thread": True,
    **{name: type(name, (), {}) for name in REFUSED if name[0].isupper()},
}


@pytest.mark.parametrize("name", list(REFUSED))
def test_settings_that_are_refused_name_themselves(name: str) -> None:
    make().finalize()
    app = make(**{name: GIVEN[name]})
    with pytest.raises(ConfigurationError, match=name) as raised:
        app.finalize()
    assert raised.value.remedy


@pytest.mark.parametrize(("name", "value"), [("table_standby_replicas", 3), ("store", "aerospike://elsewhere")])
def test_settings_from_an_object_are_refused_as_well(name: str, value: Any) -> None:
    app = make()
    app.config_from_object({name: value})
    with pytest.raises(ConfigurationError, match=name):
        app.finalize()


@pytest.mark.parametrize("given", [{"broker": "memory://"}, {"consumer_auto_offset_reset": "none"}])
def test_values_that_are_refused(given: dict[str, Any]) -> None:
    with pytest.raises(ConfigurationError, match=next(iter(given))):
        make(**given).finalize()


def test_credentials_become_librdkafkas() -> None:
    app = make(broker_credentials=faust.SASLCredentials(username="u", password="p", mechanism="SCRAM-SHA-512"))
    assert credentials(app.conf) == {
        "security.protocol": "SASL_PLAINTEXT", "sasl.mechanism": "SCRAM-SHA-512", "sasl.username": "u", "sasl.password": "p",
    }  # fmt: skip
    assert app.cluster_config()["sasl.username"] == "u"
    assert app.client_security() == {
        "security_protocol": "SASL_PLAINTEXT", "sasl_mechanism": "SCRAM-SHA-512", "sasl_plain_username": "u", "sasl_plain_password": "p",
    }  # fmt: skip
    encrypted = faust.SASLCredentials(username="u", password="p", ssl_context=ssl.create_default_context())
    for refused in (encrypted, faust.SSLCredentials(context=ssl.create_default_context()), OAuthCredentials(oauth_cb=None)):
        with pytest.raises(ConfigurationError, match="broker_credentials"):
            make(broker_credentials=refused).finalize()


def test_who_leaves_the_group_has_the_same_security() -> None:
    plain = make(kafka={"security.protocol": "SASL_SSL", "sasl.mechanism": "PLAIN", "sasl.username": "u"}).client_security()
    assert plain["ssl_context"].verify_mode is ssl.CERT_REQUIRED
    assert plain["sasl_plain_username"] == "u"
    lax = {"security.protocol": "SSL", "ssl.endpoint.identification.algorithm": "none"}
    assert not make(kafka=lax).client_security()["ssl_context"].check_hostname
    laxer = {"security.protocol": "ssl", "enable.ssl.certificate.verification": False}
    assert make(kafka=laxer).client_security()["ssl_context"].verify_mode is ssl.CERT_NONE


def test_settings_that_are_followed_reach_librdkafka() -> None:
    plain = make().conf
    assert consumer_settings(plain) == {"check.crcs": True, "max.poll.interval.ms": 1_000_000}
    assert producer_settings(plain) == {}
    given = make(
        broker_check_crcs=False, broker_max_poll_interval=60.0, producer_compression_type="gzip", producer_max_request_size=5_000_000,
        broker_session_timeout=30.0, consumer_group_instance_id="w7", version=3, broker="kafka://a:1;kafka://b",
    )  # fmt: skip
    assert consumer_settings(given.conf) == {"check.crcs": False, "max.poll.interval.ms": 60_000}
    assert producer_settings(given.conf) == {"compression.type": "gzip", "message.max.bytes": 5_000_000}
    assert (given.session_timeout, make().session_timeout, session_timeout(given.conf, 4.0)) == (30.0, 10.0, 4.0)
    assert given.conf.id == "support-v3"
    assert given.cluster_config()["bootstrap.servers"] == "a:1,b:9092"


def test_the_instance_id_names_the_worker(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("WORKER", raising=False)
    monkeypatch.delenv("QUANTUM_WORKER", raising=False)
    assert make(consumer_group_instance_id="w7").identify().name == "w7"
    assert make(consumer_group_instance_id="w7", worker="w8").identify().name == "w8"
