"""The prompt of ``quantum sql``, typed at a terminal."""

from __future__ import annotations

import os
import pty
import re
import select
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.integration.history_process import ROOT, StoreProcess
from tests.integration.test_sql_command import COMMAND, environment

_WAIT_S = 20.0
_ESCAPES = re.compile(r"\x1b(\[[0-9;?]*[A-Za-z]|\][^\x07]*\x07|[=>])")
TAB, ENTER, UP, CTRL_C, CTRL_D = "\t", "\r", "\x1b[A", "\x03", "\x04"


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[StoreProcess]:
    started = StoreProcess(tmp_path_factory.mktemp("store")).start()
    started.http("CREATE TABLE quantum.trade_closed (symbol String, net_pnl Float64) ENGINE = MergeTree ORDER BY symbol", b"")
    started.http("INSERT INTO quantum.trade_closed VALUES", b"('BTCUSDT', 1.5), ('ETHUSDT', -2)")
    yield started
    started.stop()


class Terminal:
    """A terminal with the prompt in it."""

    def __init__(self, url: str, home: Path) -> None:
        master, slave = pty.openpty()
        self._master = master
        values = {**environment(url), "QUANTUM_HOME": str(home), "TERM": "xterm", "PROMPT_TOOLKIT_NO_CPR": "1", "LINES": "40"}
        self.process = subprocess.Popen(
            [*COMMAND, "sql"], cwd=ROOT, env=values, stdin=slave, stdout=slave, stderr=slave, start_new_session=True
        )
        os.close(slave)
        self._text = ""
        self.expect("quantum>")

    def type(self, keys: str) -> None:
        os.write(self._master, keys.encode())

    def expect(self, text: str) -> str:
        """Wait until a text is shown; returns what came before it, and forgets both."""
        deadline = time.monotonic() + _WAIT_S
        while text not in self._text:
            assert time.monotonic() < deadline, f"{text!r} is not in {self._text!r}"
            if select.select([self._master], [], [], 0.2)[0]:
                try:
                    raw = os.read(self._master, 65_536)
                except OSError:  # the other end has gone
                    raw = b""
                self._text = _ESCAPES.sub("", self._text + raw.decode(errors="replace"))
                assert raw or text in self._text, f"{text!r} is not in {self._text!r}"
        before, _, self._text = self._text.partition(text)
        return before

    def answer(self, keys: str, *texts: str) -> None:
        """Type, and wait for texts one after another and then for the prompt: keys that come before it are not the prompt's."""
        self.type(keys)
        for text in (*texts, "quantum>"):
            self.expect(text)

    def end(self) -> int:
        try:
            return self.process.wait(_WAIT_S)
        finally:
            if self.process.poll() is None:
                self.process.send_signal(signal.SIGKILL)
                self.process.wait()
            os.close(self._master)


def test_statements_commands_errors_and_history(store: StoreProcess, tmp_path: Path) -> None:
    terminal = Terminal(store.url, tmp_path)
    terminal.type(f"SELECT symbol,{ENTER}")
    terminal.expect("->")
    terminal.answer(f"net_pnl FROM trade_closed{ENTER}ORDER BY symbol;{ENTER}", "BTCUSDT", "2 rows")
    terminal.answer(f"SELECT nope;{ENTER}", "error: ", "UNKNOWN_IDENTIFIER")
    terminal.answer(f"SELECT 40 + 2; SELECT 'a;b';{ENTER}", "42", "a;b", "1 rows")
    terminal.answer(f"\\d{ENTER}", "trade_closed", "rows")
    terminal.answer(f"\\d trade_closed{ENTER}", "Float64", "2 rows")
    terminal.answer(f"\\?{ENTER}", "leave (or Ctrl-D)")
    terminal.answer(f"SELECT 'left alone{CTRL_C}", "left alone")
    terminal.type(f"\\q{ENTER}")
    assert terminal.end() == 0
    history = tmp_path / "sql_history"
    assert "SELECT 40 + 2" in history.read_text()
    assert history.stat().st_mode & 0o077 == 0
    again = Terminal(store.url, tmp_path)
    again.answer(f"{UP * 5}{ENTER}", "42", "a;b", "1 rows")
    again.type(CTRL_D)
    assert again.end() == 0


def test_completion_of_tables_and_columns(store: StoreProcess, tmp_path: Path) -> None:
    terminal = Terminal(store.url, tmp_path)
    terminal.type(f"SELECT sum(net_pnl) AS s FROM trade_c{TAB}")
    terminal.expect("losed")
    terminal.answer(f";{ENTER}", "-0.5", "1 rows")
    terminal.type(f"SELECT max(trade_closed.net_{TAB}")
    terminal.expect("pnl")
    terminal.answer(f") FROM trade_closed;{ENTER}", "1.5", "1 rows")
    terminal.type(f"exit{ENTER}")
    assert terminal.end() == 0


def test_ctrl_c_cancels_the_statement_that_runs(store: StoreProcess, tmp_path: Path) -> None:
    terminal = Terminal(store.url, tmp_path)
    terminal.type(f"SELECT count() FROM numbers(1000000000000) WHERE cityHash64(number) = 1;{ENTER}")
    running = "SELECT count() FROM system.processes WHERE query LIKE '%1000000000000%' AND query NOT LIKE '%processes%'"
    deadline = time.monotonic() + _WAIT_S
    while store.http(running)[2] != b"1\n":
        assert time.monotonic() < deadline
        time.sleep(0.05)
    os.killpg(terminal.process.pid, signal.SIGINT)  # what the terminal does with Ctrl-C while no line is read
    terminal.expect("cancelled")
    while store.http(running)[2] != b"0\n":
        assert time.monotonic() < deadline
        time.sleep(0.05)
    terminal.expect("quantum>")
    terminal.answer(f"SELECT 6 * 7;{ENTER}", "42", "1 rows")
    terminal.type(CTRL_D)
    assert terminal.end() == 0
