"""The compose files: valid by the specification's schema, and the same platform as the code declares."""

from __future__ import annotations

import itertools
import json
import re
from importlib.metadata import distribution
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
import yaml
from jsonschema import Draft7Validator, validators
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram
from pydantic_settings import BaseSettings

from connectors.clickhouse import metrics as sink_metrics
from connectors.exchange.binance.settings import VenueSettings
from connectors.exchange.health import metrics as feed_metrics
from connectors.exchange.orders import metrics as orders_metrics
from connectors.exchange.orders.settings import OrdersSettings
from connectors.exchange.settings import FeedSettings
from infra.components import COMPONENTS
from infra.compose.watch import DOWN_AFTER, HOSTS, PORT, Watch
from infra.local.servers import kafka_properties
from processors.app import create_app
from processors.runtime.epochs.metrics import metrics_of
from processors.topology import NODES, STAGES, Kind
from quantum.cli import COMMANDS
from quantum.settings import Settings
from schemas.codec import SchemaIds
from schemas.common import HealthState

ROOT = Path(__file__).parents[2]
FILES = ("docker-compose.yml", "docker-compose.prod.yml")
VARIABLE = re.compile(r"\$\{(\w+)(?::([-?])([^}]*))?\}")
SERVERS = {"kafka", "registry", "clickhouse", "console", "prometheus", "alertmanager", "grafana"}
SETTINGS: dict[str, type[BaseSettings]] = {
    "QUANTUM_VENUE_": VenueSettings,
    "QUANTUM_FEED_": FeedSettings,
    "QUANTUM_ORDERS_": OrdersSettings,
    "QUANTUM_": Settings,
}


def load(name: str) -> dict[str, Any]:
    loaded: dict[str, Any] = yaml.safe_load((ROOT / name).read_text())
    return loaded


COMPOSE = load("docker-compose.yml")
SERVICES: dict[str, dict[str, Any]] = COMPOSE["services"]
PLATFORM = {name: service for name, service in SERVICES.items() if name not in SERVERS}
RUNNING = {name: service for name, service in PLATFORM.items() if name not in ("setup", "cli")}


def substituted(text: str) -> str:
    """Return a value as compose makes it with an empty environment; a required variable becomes its name."""
    return VARIABLE.sub(lambda match: match[3] if match[2] == "-" else match[1], text)


@pytest.mark.parametrize("name", FILES)
def test_it_is_valid_by_the_compose_specification(name: str) -> None:
    path = distribution("check-jsonschema").locate_file("check_jsonschema/builtin_schemas/vendor/compose-spec.json")
    schema = json.loads(Path(str(path)).read_text())
    validator = validators.validator_for(schema, default=Draft7Validator)(schema)
    assert [f"{list(error.path)}: {error.message}" for error in validator.iter_errors(load(name))] == []
    assert list(validator.iter_errors({"services": {"a": {"imagee": "x"}}})) != []


def test_every_stage_and_component_has_its_service() -> None:
    started: dict[str, str] = {}
    for name, service in RUNNING.items():
        if name == "supervisor":
            continue
        kind, *rest = service["command"]
        assert kind in COMMANDS
        assert rest[-2:] == ["--metrics-port", str(PORT)]
        assert kind == ("worker" if rest[0] in STAGES else "component")
        started |= dict.fromkeys(rest[:-2], name)
    assert started == HOSTS
    assert set(started) == set(STAGES) | set(COMPONENTS)
    components = {node.name for node in NODES.values() if node.kind is Kind.COMPONENT}
    assert components - set(started) == {"supervisor", "operator", "recorder"}
    assert {"supervisor", "cli"} <= set(PLATFORM)


def test_the_image_builds_what_the_services_run() -> None:
    images = {service["image"] for service in PLATFORM.values()}
    assert len(images) == 1
    built = [service["build"] for service in PLATFORM.values() if "build" in service]
    assert len(built) == 1
    dockerfile = (ROOT / built[0]["dockerfile"]).read_text()
    assert 'ENTRYPOINT ["quantum"]' in dockerfile
    for source in re.findall(r"^COPY ((?!--from).+) \S+$", dockerfile, re.MULTILINE):
        for path in source.split():
            assert (ROOT / path).exists(), path
    for package in ("processors", "schemas", "connectors", "ml", "quantum", "infra"):
        assert f"COPY {package} {package}" in dockerfile
    for argument in built[0]["args"]:
        assert f"ARG {argument}" in dockerfile


def environment() -> list[tuple[str, str, str]]:
    found = [(name, key, str(value)) for name, service in PLATFORM.items() for key, value in service["environment"].items()]
    assert len(found) > len(PLATFORM)
    return found


@pytest.mark.parametrize(("name", "key", "value"), environment())
def test_every_variable_is_a_setting_with_a_value_that_it_takes(name: str, key: str, value: str, monkeypatch: pytest.MonkeyPatch) -> None:
    prefix = next(
        (prefix for prefix in SETTINGS if key.startswith(prefix) and key.removeprefix(prefix).lower() in SETTINGS[prefix].model_fields),
        None,
    )
    assert prefix is not None, f"{name} sets {key}, which no settings class reads"
    monkeypatch.setenv(key, substituted(value))
    field = key.removeprefix(prefix).lower()
    taken = getattr(SETTINGS[prefix](), field)
    default = VARIABLE.fullmatch(value)
    if default is not None and default[2] == "-":
        assert taken == SETTINGS[prefix].model_fields[field].default, f"the default of {key} is not the code's"


def test_env_example_names_what_compose_reads_with_the_same_defaults() -> None:
    lines = [line.split("=", 1) for line in (ROOT / ".env.example").read_text().splitlines() if line and not line.startswith("#")]
    example = dict(lines)
    read = {match[1]: match for name in FILES for match in VARIABLE.finditer((ROOT / name).read_text())}
    assert set(example) <= set(read)
    required = {name for name, match in read.items() if match[2] == "?"}
    assert required == {name for name, value in example.items() if not value} == {"CLICKHOUSE_PASSWORD", "GRAFANA_PASSWORD"}
    assert {name: value for name, value in example.items() if value} == {name: read[name][3] for name, value in example.items() if value}


def published(service: dict[str, Any]) -> list[tuple[str, int, int]]:
    found = []
    for port in service.get("ports", []):
        host, outside, inside = port.rsplit(":", 2)
        found.append((host, int(outside), int(inside)))
    return found


def test_only_loopback_is_published_and_each_port_once() -> None:
    ports = [port for service in SERVICES.values() for port in published(service)]
    assert {host for host, _, _ in ports} == {"127.0.0.1"}
    assert len({outside for _, outside, _ in ports}) == len(ports)
    assert [published(service) for service in PLATFORM.values()] == [[]] * len(PLATFORM)
    assert all("network_mode" not in service for service in SERVICES.values())


def test_in_production_nothing_leaves_the_host_but_80_and_443() -> None:
    services = load("docker-compose.prod.yml")["services"]
    assert set(services) <= set(SERVICES)
    outside = [port for service in services.values() for port in published(service)]
    assert {port for _, port, _ in outside} <= {80, 443}
    assert {name for name in set(SERVICES) - {"setup", "cli"} if services.get(name, {}).get("restart") != "always"} == set()


def test_the_published_ports_are_those_that_the_settings_expect() -> None:
    defaults = Settings.model_construct()
    for name, url in (("kafka", f"kafka://{defaults.kafka}"), ("registry", defaults.registry), ("clickhouse", defaults.clickhouse)):
        parts = urlsplit(url)
        assert (parts.hostname, parts.port) in [(host, outside) for host, outside, _ in published(SERVICES[name])]


def test_containers_reach_the_servers_where_these_listen() -> None:
    for service in PLATFORM.values():
        values = service["environment"]
        listeners = re.findall(r"INTERNAL://([^,]*)", SERVICES["kafka"]["environment"]["KAFKA_ADVERTISED_LISTENERS"])
        assert listeners == [values["QUANTUM_KAFKA"]]
        registry = urlsplit(values["QUANTUM_REGISTRY"])
        assert (registry.hostname, str(registry.port)) == ("registry", SERVICES["registry"]["environment"]["QUARKUS_HTTP_PORT"])
        assert registry.path == urlsplit(Settings.model_construct().registry).path
        assert values["QUANTUM_CLICKHOUSE_USER"] == SERVICES["clickhouse"]["environment"]["CLICKHOUSE_USER"]
        assert values["QUANTUM_CLICKHOUSE_PASSWORD"] == SERVICES["clickhouse"]["environment"]["CLICKHOUSE_PASSWORD"]
    console = SERVICES["console"]["environment"]
    assert console["KAFKA_BROKERS"] == PLATFORM["market"]["environment"]["QUANTUM_KAFKA"]
    assert console["SCHEMAREGISTRY_URLS"] == PLATFORM["market"]["environment"]["QUANTUM_REGISTRY"]


def test_kafka_behaves_as_the_local_one() -> None:
    local = kafka_properties(Path("data"), {"kafka": 9092, "controller": 9093})
    own = {"controller.quorum.voters", "listeners", "advertised.listeners", "listener.security.protocol.map", "log.dirs"}
    compared = 0
    for key, value in SERVICES["kafka"]["environment"].items():
        name = key.removeprefix("KAFKA_").lower().replace("_", ".")
        if name in local and name not in own:
            assert str(local[name]) == value, name
            compared += 1
    assert compared >= 12


@pytest.mark.parametrize("name", sorted(SERVICES))
def test_every_service_is_bounded_watched_and_restarted(name: str) -> None:
    service = SERVICES[name]
    assert re.fullmatch(r"\d+[mg]", service["mem_limit"])
    assert service["logging"]["options"]["max-size"]
    assert re.search(r":[\w.$\{\}-]+$", service["image"])
    assert not service["image"].endswith(":latest")
    if name in ("setup", "cli"):
        assert service["restart"] == "no"
    else:
        assert service["restart"] == "unless-stopped"
        assert service["healthcheck"]["test"][0] == "CMD"


def test_everything_waits_for_the_topics_and_schemas() -> None:
    for service in RUNNING.values():
        assert service["depends_on"]["setup"] == {"condition": "service_completed_successfully"}
    assert set(SERVICES["setup"]["depends_on"]) == {"kafka", "registry", "clickhouse"}
    for service in SERVICES.values():
        assert set(service.get("depends_on", {})) <= set(SERVICES)


def test_named_volumes_are_declared_and_mounted_files_exist() -> None:
    for service in SERVICES.values():
        for volume in service.get("volumes", []):
            source = volume.split(":")[0]
            assert (ROOT / source).is_dir() if source.startswith(".") else source in COMPOSE["volumes"]


def test_no_secret_has_a_value_in_a_file() -> None:
    for name in FILES:
        for line in (ROOT / name).read_text().splitlines():
            if re.search(r"(PASSWORD|SECRET|API_KEY)\w*:", line):
                assert re.search(r"\$\{\w+:\?[^}]+\}", line), line


class NoRegistry(SchemaIds):
    """No schema is asked for before a record is sent."""

    def id_of(self, subject: str, schema: str) -> int:
        raise AssertionError(f"{subject} was asked for")

    def schema_of(self, schema_id: int) -> str:
        raise AssertionError(f"{schema_id} was asked for")


@pytest.fixture(scope="module")
def series(tmp_path_factory: pytest.TempPathFactory) -> set[str]:
    """Give the names of the series that the platform's processes tell Prometheus."""
    registry = CollectorRegistry()
    create_app("execution", Settings(home=tmp_path_factory.mktemp("home")), NoRegistry(), metrics=registry)
    metrics_of(registry)  # the application makes them when it starts
    modules = (vars(sink_metrics), vars(orders_metrics), vars(feed_metrics))
    own = [value for module in modules for value in module.values() if isinstance(value, Counter | Gauge | Histogram)]
    families = [*registry.collect(), *(family for metric in own for family in metric.collect())]
    names = {family.name for family in families}
    assert len(names) > 15
    return names | {f"{name}_{part}" for name in names for part in ("total", "bucket", "sum", "count")}


def expressions() -> list[str]:
    rules = load("infra/prometheus/rules.yml")
    found = [rule["expr"] for group in rules["groups"] for rule in group["rules"]]
    board = json.loads((ROOT / "infra/grafana/dashboards/quantum.json").read_text())
    found += [target["expr"] for panel in board["panels"] for target in panel["targets"]]
    assert len(found) > 20
    return found


@pytest.mark.parametrize("expression", expressions(), ids=itertools.count())
def test_alerts_and_panels_ask_for_metrics_that_exist(expression: str, series: set[str]) -> None:
    asked = set(re.findall(r"\bquantum_\w+", expression))
    assert asked or 'up{job="quantum"}' in expression
    assert asked <= series


def test_every_alert_says_what_to_do() -> None:
    for group in load("infra/prometheus/rules.yml")["groups"]:
        for rule in group["rules"]:
            assert {"summary", "remedy"} <= set(rule["annotations"])
            assert rule["labels"]["severity"] in ("warning", "critical")


def test_prometheus_asks_every_process_and_reaches_alertmanager_and_grafana_reaches_it() -> None:
    config = load("infra/prometheus/prometheus.yml")
    targets = {job["job_name"]: job["static_configs"][0]["targets"] for job in config["scrape_configs"]}
    assert set(targets["quantum"]) == {f"{name}:{PORT}" for name in RUNNING}
    assert config["alerting"]["alertmanagers"][0]["static_configs"][0]["targets"] == ["alertmanager:9093"]
    assert config["rule_files"] == ["rules.yml"]
    source = load("infra/grafana/provisioning/datasources/prometheus.yml")["datasources"][0]
    board = json.loads((ROOT / "infra/grafana/dashboards/quantum.json").read_text())
    assert source["url"] == "http://prometheus:9090"
    assert {panel["datasource"]["uid"] for panel in board["panels"]} == {source["uid"]}
    provider = load("infra/grafana/provisioning/dashboards/quantum.yml")["providers"][0]["options"]["path"]
    assert f"./infra/grafana/dashboards:{provider}:ro" in SERVICES["grafana"]["volumes"]


def test_alertmanager_sends_every_alert_to_a_receiver() -> None:
    config = load("infra/alertmanager/alertmanager.yml")
    assert config["route"]["receiver"] in {receiver["name"] for receiver in config["receivers"]}


def test_the_watch_tells_changes_only() -> None:
    watch = Watch("abc")
    answers = [False, True, True, False, False, True] + [False] * DOWN_AFTER + [False, True]
    told = [watch.observe("risk", answered, n) for n, answered in enumerate(answers)]
    states = [(n, event.state) for n, event in enumerate(told) if event is not None]
    down = 5 + DOWN_AFTER
    assert states == [
        (0, HealthState.STARTING), (1, HealthState.HEALTHY), (3, HealthState.DEGRADED), (5, HealthState.HEALTHY),
        (6, HealthState.DEGRADED), (down, HealthState.DOWN), (down + 2, HealthState.HEALTHY),
    ]  # fmt: skip
    first = told[0]
    assert first is not None
    assert (first.component, first.worker, first.revision) == ("risk", "risk-0", "abc")


def test_a_component_that_never_answers_is_down_in_the_end() -> None:
    watch = Watch("abc")
    told = [watch.observe("risk", False, n) for n in range(3 * DOWN_AFTER)]
    assert [event.state for event in told if event is not None] == [HealthState.STARTING, HealthState.DOWN]
