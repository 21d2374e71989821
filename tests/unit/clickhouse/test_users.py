"""Who is let in."""

from __future__ import annotations

import stat
from pathlib import Path

import pytest
from pydantic import SecretStr

from connectors.clickhouse.server.errors import ClickHouseError
from connectors.clickhouse.server.users import Analysts, User, Users
from quantum.errors import ConfigurationError

WORD = "a long enough word"


def test_the_platforms_own_user_and_an_analyst(tmp_path: Path) -> None:
    analysts = Analysts(tmp_path / "users.json")
    analysts.add("ann", WORD)
    users = Users("default", SecretStr("own"), analysts)
    users.check()
    assert users.known("default", "own") == User("default", analyst=False)
    assert users.known("ann", WORD) is None, "it has not been hashed yet"
    assert users.identify("ann", WORD) == User("ann", analyst=True)
    assert users.known("ann", WORD) == User("ann", analyst=True)
    for name, password in (("ann", "own"), ("ann", ""), ("default", ""), ("default", WORD), ("bob", WORD), ("\udcff", "\udcff")):
        with pytest.raises(ClickHouseError) as refused:
            users.identify(name, password)
        assert refused.value.code == 516


def test_a_changed_password_and_a_removed_analyst_count_at_once(tmp_path: Path) -> None:
    analysts = Analysts(tmp_path / "users.json")
    analysts.add("ann", WORD)
    users = Users("default", SecretStr("own"), analysts)
    users.identify("ann", WORD)
    analysts.add("ann", "another long word")
    assert users.known("ann", WORD) is None
    with pytest.raises(ClickHouseError):
        users.identify("ann", WORD)
    users.identify("ann", "another long word")
    assert analysts.remove("ann")
    assert not analysts.remove("ann")
    assert users.known("ann", "another long word") is None


def test_the_file_has_no_password_and_is_for_its_owner_alone(tmp_path: Path) -> None:
    analysts = Analysts(tmp_path / "home" / "users.json")
    analysts.add("ann", WORD)
    analysts.add("bob", WORD)
    assert WORD not in analysts.path.read_text()
    entries = analysts.read()
    assert entries["ann"].digest != entries["bob"].digest, "the salts differ"
    assert stat.S_IMODE(analysts.path.stat().st_mode) == 0o600


@pytest.mark.parametrize("name", ["", "default", "a b", "1a", "a" * 65, "a:b", "ä"])
def test_names_that_are_none(tmp_path: Path, name: str) -> None:
    with pytest.raises(ConfigurationError, match="no name"):
        Analysts(tmp_path / "users.json").add(name, WORD)


def test_a_short_password_and_a_broken_file(tmp_path: Path) -> None:
    analysts = Analysts(tmp_path / "users.json")
    with pytest.raises(ConfigurationError, match="too short"):
        analysts.add("ann", "short")
    analysts.path.write_text("{")
    with pytest.raises(ConfigurationError, match="cannot be read"):
        Users("default", SecretStr("own"), analysts).check()


def test_analysts_beside_a_user_without_a_password_are_refused(tmp_path: Path) -> None:
    analysts = Analysts(tmp_path / "users.json")
    Users(analysts=analysts).check()
    analysts.add("ann", WORD)
    with pytest.raises(ConfigurationError, match="QUANTUM_CLICKHOUSE_PASSWORD"):
        Users(analysts=analysts).check()
