"""The local stack on real servers: started, killed, started again, ended."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest
from click.testing import CliRunner
from confluent_kafka import Consumer, Producer, TopicPartition
from confluent_kafka.admin import AdminClient, NewTopic

from infra.local import manifest, process
from infra.local.servers import Kafka
from infra.local.stack import ServerStatus, Stack
from quantum.cli.stack import status as status_command
from quantum.errors import ConfigurationError, DependencyError
from quantum.home import Endpoints, Home
from tests.conftest import RunningStack

pytestmark = pytest.mark.stack

ANY = {"kafka": 0, "registry": 0, "store": 0}
LAUNCH = (
    "import pathlib, sys, time; from infra.local.stack import Stack; from quantum.home import Home\n"
    "ports = {'kafka': 0, 'registry': 0, 'store': 0}\n"
    "stack = Stack(Home(pathlib.Path(sys.argv[1])), ports=ports, die_with_parent=sys.argv[2] == 'tethered')\n"
    "stack.up(lambda line: print(line, flush=True)); print('up', flush=True); time.sleep(120)"
)
SCHEMA = json.dumps({"type": "record", "name": "Kept", "fields": [{"name": "id", "type": "long"}]})


@pytest.fixture
def home(tmp_path: Path) -> Iterator[Home]:
    home = Home(tmp_path / "home")
    yield home
    Stack(home).down()
    assert running(home) == []


def running(home: Home) -> list[str]:
    return sorted(name for name, _ in process.marked(home))


def wait_for(condition: Callable[[], bool], seconds: float = 30.0) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "the condition did not come true in time"
        time.sleep(0.05)


def post(url: str, body: str, content_type: str) -> bytes:
    request = urllib.request.Request(url, data=body.encode(), headers={"Content-Type": content_type})
    with urllib.request.urlopen(request, timeout=20) as answer:
        return bytes(answer.read())


def sql(endpoints: Endpoints, statement: str) -> str:
    return post(endpoints.clickhouse, statement, "text/plain").decode().strip()


def register(endpoints: Endpoints, subject: str, schema: str) -> int:
    body = json.dumps({"schema": schema})
    return int(json.loads(post(f"{endpoints.registry}/subjects/{subject}/versions", body, "application/vnd.schemaregistry.v1+json"))["id"])


def schema_of(endpoints: Endpoints, number: int) -> dict[str, Any]:
    with urllib.request.urlopen(f"{endpoints.registry}/schemas/ids/{number}", timeout=20) as answer:
        found: dict[str, Any] = json.loads(json.loads(answer.read())["schema"])
        return found


def create_topic(endpoints: Endpoints, topic: str) -> None:
    admin = AdminClient({"bootstrap.servers": endpoints.kafka})  # held until the answer: the request ends with its client
    admin.create_topics([NewTopic(topic, 2, 1)])[topic].result(timeout=20)


def produce(endpoints: Endpoints, topic: str, values: list[bytes], **settings: str) -> None:
    producer = Producer({"bootstrap.servers": endpoints.kafka, **settings})
    transactional = "transactional.id" in settings
    if transactional:
        producer.init_transactions(20)
        producer.begin_transaction()
    for value in values:
        producer.produce(topic, value, partition=0)
    if transactional:
        producer.commit_transaction(20)
    assert producer.flush(20) == 0


def consume(endpoints: Endpoints, topic: str, count: int) -> list[bytes | None]:
    consumer = Consumer({"bootstrap.servers": endpoints.kafka, "group.id": topic, "isolation.level": "read_committed"})
    try:
        consumer.assign([TopicPartition(topic, 0, 0)])
        found: list[bytes | None] = []
        deadline = time.monotonic() + 20
        while len(found) < count and time.monotonic() < deadline:
            message = consumer.poll(0.5)
            if message is not None:
                assert message.error() is None
                found.append(message.value())
        return found
    finally:
        consumer.close()


def test_the_shared_stack_serves(stack: RunningStack, unique: str) -> None:
    create_topic(stack.endpoints, unique)
    produce(stack.endpoints, unique, [b"a", b"b"], **{"transactional.id": unique})
    assert consume(stack.endpoints, unique, 2) == [b"a", b"b"]
    assert schema_of(stack.endpoints, register(stack.endpoints, f"{unique}-value", SCHEMA))["name"] == "Kept"
    assert sql(stack.endpoints, "SELECT 6 * 7") == "42"
    assert {server.state for server in Stack(stack.home).status()} == {"healthy"}
    connections = [psutil.Process(server.pid).net_connections("tcp") for server in Stack(stack.home).status() if server.pid is not None]
    listening = {connection.laddr[0] for found in connections for connection in found if connection.status == psutil.CONN_LISTEN}
    assert listening <= {"127.0.0.1", "::ffff:127.0.0.1"}, "a server listens beyond loopback"


def test_sessions_of_one_second_are_allowed(stack: RunningStack, unique: str) -> None:
    create_topic(stack.endpoints, unique)
    settings = {"bootstrap.servers": stack.endpoints.kafka, "group.id": unique, "session.timeout.ms": 1000, "heartbeat.interval.ms": 300}
    consumer = Consumer(settings)
    try:
        consumer.subscribe([unique])
        wait_for(lambda: consumer.poll(0.1) is None and len(consumer.assignment()) == 2)
    finally:
        consumer.close()


@pytest.mark.campaign
def test_data_survives_down_and_kill_and_ports_stay(home: Home, unique: str) -> None:
    stack = Stack(home, ports=ANY)
    first = stack.up()
    assert stack.up() == first, "a second up changes nothing"
    create_topic(first, unique)
    produce(first, unique, [b"kept"])
    sql(first, "CREATE TABLE quantum.kept (id Int64) ENGINE = MergeTree ORDER BY id")
    sql(first, "INSERT INTO quantum.kept VALUES (7)")
    number = register(first, f"{unique}-value", SCHEMA)
    servers = [found for _, found in process.marked(home)]
    for server in servers:  # at once: what was answered just before must be there
        server.kill()
    psutil.wait_procs(servers, timeout=10)
    assert {server.state for server in stack.status()} == {"down"}

    second = Stack(home).up()
    assert second == first, "the ports are kept"
    assert schema_of(second, number)["name"] == "Kept"
    assert stack.down() == ["registry", "store", "kafka"]
    assert stack.down() == []
    assert home.endpoints() is None

    third = Stack(home).up()
    assert consume(third, unique, 1) == [b"kept"]
    assert sql(third, "SELECT id FROM quantum.kept") == "7"
    assert schema_of(third, number)["name"] == "Kept"


def test_down_after_the_launcher_was_killed(home: Home) -> None:
    bystander = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(120)"], env={**os.environ, "QUANTUM_HOME": str(home.root)})
    try:
        with subprocess.Popen([sys.executable, "-c", LAUNCH, str(home.root), "free"], stdout=subprocess.PIPE, text=True) as launcher:
            assert launcher.stdout is not None
            assert any(line == "up\n" for line in launcher.stdout)
            launcher.send_signal(signal.SIGKILL)
        time.sleep(0.5)
        assert running(home) == ["kafka", "registry", "store"], "servers live on without their launcher"
        process.forget(home, "kafka")  # as if the launcher had been killed between starting Kafka and recording it
        worker = process.spawn(
            home, "features-0", [sys.executable, "-c", "import time; time.sleep(120)"], kind="worker", log=home.logs / "w.log"
        )
        code = CliRunner().invoke(status_command, ["--json"], env={"QUANTUM_HOME": str(home.root)}).exit_code
        assert code == 1, "without its record Kafka counts as down, the rest serves"

        done = subprocess.run(
            [sys.executable, "-c", "from quantum.cli import main; main(['down', '--json'])"],
            env={**os.environ, "QUANTUM_HOME": str(home.root)},
            capture_output=True,
            text=True,
            check=True,
        )
        assert json.loads(done.stdout) == ["features-0", "registry", "store", "kafka"]
        assert running(home) == []
        assert process.exit_code(worker.pid) == -signal.SIGTERM
        assert bystander.poll() is None, "a process that only has QUANTUM_HOME in its environment was ended"
        assert CliRunner().invoke(status_command, [], env={"QUANTUM_HOME": str(home.root)}).exit_code == 3
    finally:
        bystander.kill()
        bystander.wait()


def test_down_after_the_launcher_was_killed_while_it_started(home: Home) -> None:
    with subprocess.Popen([sys.executable, "-c", LAUNCH, str(home.root), "free"], stdout=subprocess.PIPE) as launcher:
        wait_for(lambda: "registry" in running(home))
        launcher.send_signal(signal.SIGKILL)
    ended = Stack(home).down()
    assert "registry" in ended
    assert running(home) == []


def test_servers_of_tests_end_with_the_test_run(home: Home) -> None:
    with subprocess.Popen([sys.executable, "-c", LAUNCH, str(home.root), "tethered"], stdout=subprocess.PIPE, text=True) as launcher:
        assert launcher.stdout is not None
        assert any(line == "up\n" for line in launcher.stdout)
        launcher.send_signal(signal.SIGKILL)
    wait_for(lambda: running(home) == [], 5.0)


def test_usual_ports_that_are_taken_are_left_alone(home: Home) -> None:
    held: list[socket.socket] = []
    usual = [9092, 8081, 8123]
    try:
        for port in usual:  # taken by us, or by whoever has them already
            listener = socket.socket()
            held.append(listener)
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                listener.bind(("127.0.0.1", port))
                listener.listen()
            except OSError:
                continue
        said: list[str] = []
        with pytest.raises(DependencyError, match="port 9092 for kafka is in use by"):
            Stack(home, ports={"kafka": 9092}).up()
        assert running(home) == [], "nothing stays of a start that failed"
        stack = Stack(home)
        endpoints = stack.up(said.append)
        assert {server.state for server in stack.status()} == {"healthy"}
        assert not {server.port for server in stack.status()} & set(usual)
        assert any(line.startswith("port 9092 is taken by process") for line in said)
        with pytest.raises(ConfigurationError, match="kafka runs on port"):
            Stack(home, ports={"kafka": 9093}).up()
        assert stack.up() == endpoints
    finally:
        for listener in held:
            listener.close()


def test_a_server_that_cannot_start_says_why_and_the_others_end(home: Home) -> None:
    data = home.data / "kafka"
    data.mkdir(parents=True)
    (data / "meta.properties").write_text("version=1\nnode.id=999\ncluster.id=MkU3OEVBNTcwNTJENDM2Qk\n")
    with pytest.raises(DependencyError, match=r"kafka ended while it started[\s\S]*node id[\s\S]*remedy: read .*kafka\.log") as caught:
        Stack(home, ports=ANY).up()
    assert "999" in caught.value.message
    assert running(home) == []
    assert process.records(home) == []


def test_many_partitions_cost_little(stack: RunningStack, unique: str) -> None:
    admin = AdminClient({"bootstrap.servers": stack.endpoints.kafka})
    topics = [NewTopic(f"{unique}.{number}", 4, 1) for number in range(150)]
    begun = time.monotonic()
    for future in admin.create_topics(topics, operation_timeout=60).values():
        future.result(timeout=60)
    try:
        data = Kafka().data(stack.home)
        wait_for(lambda: len(list(data.glob(f"{unique}.*"))) == 600)
        seconds = time.monotonic() - begun
        (kafka,) = (server for server in Stack(stack.home).status() if server.name == "kafka")
        assert kafka.rss_bytes is not None
        blocks = sum(path.stat().st_blocks * 512 for path in data.glob(f"{unique}.*/*"))
        print(f"600 partitions: {seconds:.1f} s, Kafka {kafka.rss_bytes / 1e6:.0f} MB resident, {blocks / 1e6:.1f} MB on disk")
        assert seconds < 30
        assert kafka.rss_bytes < 700e6
        assert blocks < 50e6
    finally:
        for future in admin.delete_topics([topic.topic for topic in topics]).values():
            future.result(timeout=60)


def test_a_home_of_another_version_is_refused_untouched(home: Home) -> None:
    home.data.mkdir(parents=True)
    path = home.data / "stack.json"
    for content, why in (
        ({"layout": manifest.LAYOUT + 1, "kafka": "4.3.0", "registry": "3.3.3", "ports": {}}, "its layout is version 2"),
        ({"layout": manifest.LAYOUT, "kafka": "99.0.0", "registry": "3.3.3", "ports": {}}, "written by Kafka 99.0.0"),
        ({"servers": []}, "cannot be read"),
    ):
        path.write_text(json.dumps(content))
        with pytest.raises(DependencyError, match=rf"made by another version: .*{why}"):
            Stack(home, ports=ANY).up()
        assert json.loads(path.read_text()) == content
        assert not home.logs.exists()


def test_no_space(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("infra.local.stack.NEEDED_BYTES", 10**18)
    with pytest.raises(DependencyError, match="GB free"):
        Stack(home, ports=ANY).up()


def test_a_home_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(DependencyError, match=r"cannot be used[\s\S]*QUANTUM_HOME"):
        Stack(Home(tmp_path / "file" / "home"), ports=ANY).up()


def test_an_unknown_server_is_refused(home: Home) -> None:
    with pytest.raises(ConfigurationError, match="no server zookeeper"):
        Stack(home, ports={"zookeeper": 2181})


def test_status_as_json(stack: RunningStack) -> None:
    result = CliRunner().invoke(status_command, ["--json"], env={"QUANTUM_HOME": str(stack.home.root)})
    assert result.exit_code == 0
    found = [ServerStatus(**each) for each in json.loads(result.stdout)]
    assert [each.name for each in found] == ["kafka", "store", "registry"]
    assert all(each.state == "healthy" and (each.rss_bytes or 0) > 50e6 and each.url and Path(each.log).exists() for each in found)
