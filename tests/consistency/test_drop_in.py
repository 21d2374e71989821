"""An existing Faust program with one import changed: the sample programs as processes, killed in the middle of their work."""

from __future__ import annotations

import io
import json
import socket
import time
import urllib.request
from collections import Counter
from pathlib import Path
from typing import Any

import fastavro
import pytest

from tests.consistency import broker
from tests.consistency.programs import Program, programs

pytestmark = [pytest.mark.stack, pytest.mark.timeout(300)]

_WORKS = " works on [("


def free_port() -> int:
    """Return a port that nothing listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def page(port: int, path: str) -> Any:
    """Return the JSON of a page of a worker."""
    with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=10) as answer:
        return json.load(answer)


def record(**fields: Any) -> bytes:
    """Return a record as another program writes it."""
    return json.dumps(fields).encode()


def assert_ends_well(program: Program) -> None:
    """Stop a program as a supervisor does; it has 3 s."""
    status, seconds = program.end()
    assert (status, seconds < 3.0) == (0, True), (status, seconds, program.said[-2000:])


def test_word_count_with_pages_is_killed_and_shares_its_partitions(bootstrap: str, prefix: str, tmp_path: Path) -> None:
    broker.create_topics(bootstrap, f"{prefix}-counts")
    posts = [f"to be or not to be {number}" for number in range(300)]
    port = free_port()
    with programs(bootstrap, prefix, tmp_path) as start:
        first = start.start("word_count", "worker", "-l", "info", "-p", str(port))
        first.await_word(_WORKS)
        broker.write(bootstrap, f"{prefix}-posts", [(str(n), post.encode()) for n, post in enumerate(posts[:150])])
        broker.read(bootstrap, f"{prefix}-counts", until=200)
        first.kill()
        again = start.start("word_count", "worker", "-l", "info", "-p", str(port))
        again.await_word(_WORKS)
        second = start.start("word_count", "worker", "-l", "info", "-p", str(port), way="faust")
        second.await_word(_WORKS)
        second.await_word("serves no pages")
        broker.write(bootstrap, f"{prefix}-posts", [(str(n), post.encode()) for n, post in enumerate(posts[150:])])
        rows = broker.read(bootstrap, f"{prefix}-counts", until=300 * 7, limit_s=60)
        assert page(port, "/") == {"status": "OK"}
        shown = page(port, "/count/be/")["be"], page(port, "/count/or/")["or"], page(port, "/count/not/")["not"]
        assert_ends_well(second)
        alone = time.monotonic()
        again.await_word(_WORKS)
        while (page(port, "/count/be/"), page(port, "/count/or/")) != ({"be": 600}, {"or": 300}):
            assert time.monotonic() - alone < 20, "the other worker's partitions have not come back with their tables"
            time.sleep(0.1)
        assert_ends_well(again)
    wanted = Counter(word for post in posts for word in post.split())
    assert set(shown) <= {0, 300, 600}
    counts: dict[str, list[int]] = {}
    for row in rows:
        counts.setdefault(row.key, []).append(int(row.value))
    assert counts == {word: list(range(1, count + 1)) for word, count in wanted.items()}


def test_page_views_by_country_in_windows(bootstrap: str, prefix: str, tmp_path: Path) -> None:
    broker.create_topics(bootstrap, f"{prefix}-views", f"{prefix}-seen")
    base = 1_700_000_000
    views = [record(page=f"p{n % 3}", country=f"c{n % 4}", at=base + n) for n in range(240)]
    with programs(bootstrap, prefix, tmp_path) as start:
        worker = start.start("page_views", way="run")
        worker.await_word(_WORKS)
        for half in (views[:120], views[120:]):
            broker.write(bootstrap, f"{prefix}-views", [("k", view) for view in half], partition=0)
            seen = broker.read(bootstrap, f"{prefix}-seen", until=120)
            worker.kill()
            worker = start.start("page_views", way="run")
            worker.await_word(_WORKS)
        seen = broker.read(bootstrap, f"{prefix}-seen", until=240)
        assert_ends_well(worker)
    told = [json.loads(row.value) for row in seen]
    by_country: dict[str, list[dict[str, Any]]] = {}
    for each in told:
        by_country.setdefault(each["country"], []).append(each)
    assert {country: len(rows) for country, rows in by_country.items()} == {f"c{n}": 60 for n in range(4)}
    for number in range(4):
        starts = [(base + n) // 60 for n in range(number, 240, 4)]
        expected = [starts[: at + 1].count(each) for at, each in enumerate(starts)]
        assert [each["by_field"] for each in by_country[f"c{number}"]] == expected
    assert max(each["indexed"] for each in told) == 4
    assert max(each["latest"] for each in told) == max(Counter(each["country"] for each in told).values())
    assert all(each["hopping"] >= 1 for each in told)


def test_a_bank_with_what_faust_has_to_offer(bootstrap: str, prefix: str, tmp_path: Path) -> None:
    broker.create_topics(bootstrap, *(f"{prefix}-{name}" for name in ("large", "copies", "numbered", "batches", "beats")))
    with programs(bootstrap, prefix, tmp_path) as start:
        worker = start.start("bank", "worker", "-l", "info", "--without-web", WORKER="one")
        worker.await_word(_WORKS)
        rows = [(f"a{n % 5}", record(account=f"a{n % 5}", amount=n)) for n in range(200)]
        broker.write(bootstrap, f"{prefix}-transfers", rows[:100])
        broker.write(bootstrap, f"{prefix}-profiles", [(f"k{n}", record(name=f"n{n}")) for n in range(5)])
        broker.read(bootstrap, f"{prefix}-booked", until=50)
        worker.kill()
        worker = start.start("bank", "worker", "-l", "info", "--without-web", WORKER="one")
        broker.write(bootstrap, f"{prefix}-transfers", rows[100:])
        command = start.start("bank", "deposit", folder="command")
        assert command.wait() == 0, command.said
        sent = start.start("bank", "send", f"{prefix}-transfers", "--key", "s", '{"account": "sent", "amount": 5}', folder="send")
        assert sent.wait() == 0, sent.said
        assert '"offset":' in sent.said
        booked = broker.read(bootstrap, f"{prefix}-booked", until=204, limit_s=60)
        batches = broker.read(bootstrap, f"{prefix}-batches", until=100)
        numbered = broker.read(bootstrap, f"{prefix}-numbered", until=201)
        copies = broker.read(bootstrap, f"{prefix}-copies", until=204)
        large = broker.read(bootstrap, f"{prefix}-large", until=100)
        assert_ends_well(worker)
    beats = broker.read(bootstrap, f"{prefix}-beats", until=1)
    amounts = sorted([*range(200), 1, 2, 3, 5])
    assert sorted(json.loads(row.value)["amount"] for row in booked) == amounts
    assert sorted(json.loads(row.value)["amount"] for row in copies) == amounts
    assert sorted(json.loads(row.value)["amount"] for row in large) == list(range(100, 200))
    assert sorted(int(row.value) for row in batches) == list(range(100, 200))
    assert sorted(int(row.value.split(b":")[2]) for row in numbered) == [amount for amount in amounts if amount > 1]
    by_key: dict[str, list[str]] = {}
    for row in beats:
        by_key.setdefault(row.key, []).append(row.value.decode())
    assert by_key["task"][-1] == "recovered [True] assigned True"
    assert {row.headers["by"] for row in beats if row.key == "task"} == {b"task"}
    assert {name: by_key[name] for name in by_key if name.startswith("k")} == {f"k{n}": [f"profile n{n}"] for n in range(5)}
    assert set(by_key["leader"]) == {"one"}
    balances = {json.loads(row.key): int(row.value) for row in broker.read(bootstrap, f"{prefix}-bank-balances-changelog", until=7)}
    assert balances == {**{f"a{k}": sum(range(k, 200, 5)) for k in range(5)}, "cli": 6, "sent": 5}


def test_agents_that_derive_streams_survive_what_they_raise(bootstrap: str, prefix: str, tmp_path: Path) -> None:
    broker.create_topics(bootstrap, f"{prefix}-in", f"{prefix}-out")
    broker.write(bootstrap, f"{prefix}-in", [(str(n), record(name=f"n{n % 5}", number=n)) for n in range(200)])
    with programs(bootstrap, prefix, tmp_path) as start:
        worker = start.start("faulty", way="run")
        out = broker.read(bootstrap, f"{prefix}-out", until=195, limit_s=60)
        ungrouped = broker.read(bootstrap, f"{prefix}-in.dlq", until=4)
        passed = broker.read(bootstrap, f"{prefix}-passed.dlq", until=1)
        assert_ends_well(worker)
    assert sorted(json.loads(row.value)["number"] for row in ungrouped) == [7, 57, 107, 157]
    assert [json.loads(row.value)["number"] for row in passed] == [33]
    counts: dict[str, list[int]] = {}
    for row in out:
        counts.setdefault(row.key, []).append(int(row.value))
    assert counts == {f"n{k}": list(range(1, (36 if k == 2 else 40) + 1)) for k in range(5)}


@pytest.mark.parametrize(("fault", "says"), [("combine", "stream.combine()"), ("task", "outside of an agent"), ("timer", "broken timer")])
@pytest.mark.parametrize("way", ["run", "main"])
def test_a_program_that_cannot_go_on_ends_and_says_why(
    bootstrap: str, prefix: str, tmp_path: Path, fault: str, says: str, way: str
) -> None:
    broker.create_topics(bootstrap, f"{prefix}-in", f"{prefix}-out")
    with programs(bootstrap, prefix, tmp_path) as start:
        worker = start.start("faulty", "worker", "-l", "info", "--without-web", way=way, FAULT=fault)
        assert worker.wait(30) == 1
        assert says in worker.said


def test_records_and_table_values_in_avro(bootstrap: str, prefix: str, tmp_path: Path) -> None:
    schema = fastavro.parse_schema({
        "type": "record", "name": "Order",
        "fields": [{"name": "account", "type": "string"}, {"name": "amount", "type": "long"}],
    })  # fmt: skip

    def avro(account: str, amount: int) -> bytes:
        buffer = io.BytesIO()
        fastavro.schemaless_writer(buffer, schema, {"account": account, "amount": amount})
        return buffer.getvalue()

    broker.create_topics(bootstrap, f"{prefix}-orders", f"{prefix}-sums")
    orders = [(str(n), avro(f"a{n % 5}", n)) for n in range(100)]
    with programs(bootstrap, prefix, tmp_path) as start:
        worker = start.start("avro_orders", way="run")
        broker.write(bootstrap, f"{prefix}-orders", [*orders[:50], ("broken", b"\xff")])
        broker.read(bootstrap, f"{prefix}-sums", until=50, limit_s=60)
        worker.kill()
        worker = start.start("avro_orders", way="run")
        broker.write(bootstrap, f"{prefix}-orders", orders[50:])
        sums = broker.read(bootstrap, f"{prefix}-sums", until=100, limit_s=60)
        dead = broker.read(bootstrap, f"{prefix}-orders.dlq", until=1)
        assert_ends_well(worker)
    last = {row.key: row.value for row in sums}
    assert last == {f"a{k}": avro(f"a{k}", sum(range(k, 100, 5))) for k in range(5)}
    assert [row.value for row in dead] == [b"\xff"]


def test_the_program_of_the_documentation(bootstrap: str, prefix: str, tmp_path: Path) -> None:
    page_text = (Path(__file__).parents[2] / "docs" / "exactly-once.md").read_text()
    program = page_text.split("```python\n")[1].split("```")[0]
    for name in ("orders", "totals"):
        program = program.replace(f'"{name}"', f'"{prefix}-{name}"')
    path = tmp_path / "orders.py"
    path.write_text(program)
    broker.create_topics(bootstrap, f"{prefix}-totals")
    with programs(bootstrap, prefix, tmp_path) as start:
        workers = [start.start(str(path), "worker", "-l", "info", "--without-web") for _ in range(2)]
        for worker in workers:
            worker.await_word(_WORKS)
        orders = [(str(n), record(account=f"a{n % 7}", amount=n)) for n in range(140)]
        broker.write(bootstrap, f"{prefix}-orders", orders)
        totals = broker.read(bootstrap, f"{prefix}-totals", until=140, limit_s=60)
        for worker in workers:
            assert_ends_well(worker)
    for account in range(7):
        found = [int(row.value) for row in totals if row.key == f"a{account}"]
        assert len(found) == 20
        assert found[-1] == sum(range(account, 140, 7))
        assert sorted(found) == found


def test_a_command_that_cannot_send_fails(bootstrap: str, prefix: str, tmp_path: Path) -> None:
    with programs(bootstrap, prefix, tmp_path) as start:
        command = start.start("bank", "deposit")
        assert command.wait() != 0
        assert "was not stored" in command.said
