"""``quantum policy universe``: the symbols that may be entered: a person's list, or chosen from candidates by their scores."""

from __future__ import annotations

from typing import Any

import click
import msgspec
from rich.console import Console
from rich.table import Column, Table

from processors.components import read_all
from processors.governance.changes import choosing, person_changes
from processors.governance.defaults import UNIVERSE, universe_rules
from quantum.cli.policy_log import AUTHOR, JSON, REASON, change, now_us, required, time_text
from quantum.errors import ConfigurationError
from quantum.settings import Settings, load
from schemas.governance.records import Policy
from schemas.universe.records import SymbolQuality

_SYMBOLS = click.option("--symbol", "symbols", multiple=True, metavar="SYMBOL", help="A symbol; may be repeated. Default: as before.")


@click.group()
def universe() -> None:
    """Show and set which symbols may be entered."""


@universe.command()
@JSON
def show(as_json: bool) -> None:
    """Show which symbols may be entered, the newest measurement of each that is followed, and the rules."""
    settings = load()
    policy, newest = required(settings), newest_quality(settings)
    if as_json:
        found = {"universe": policy.universe, "rules": policy.universe_rules, "quality": list(newest.values())}
        click.echo(msgspec.json.format(msgspec.json.encode(found), indent=2).decode())
        return
    rules = policy.universe_rules
    click.echo("a person's list" if rules is None else f"chosen by scores: to join {rules.entry_score:g}, to stay {rules.exit_score:g}")
    candidates = policy.universe if rules is None else rules.candidates
    names = ("may enter", "score", "weakest", *_MEASURES, "measured (UTC)")
    table = Table(Column("symbol", no_wrap=True), *(Column(name, overflow="fold") for name in names))
    for symbol in [*candidates, *sorted(newest.keys() - set(candidates))]:
        table.add_row(symbol, "yes" if symbol in policy.universe else "no", *_row(newest.get(symbol)))
    Console().print(table)
    if rules is not None:
        values = {name: value for name, value in msgspec.structs.asdict(rules).items() if name != "candidates"}
        click.echo("rules: " + ", ".join(f"{name}={value:g}" for name, value in values.items()))


@universe.command()
@_SYMBOLS
@click.option("--set", "changes", multiple=True, metavar="RULE=VALUE", help="Set a rule; 'show' has their names. May be repeated.")
@REASON
@AUTHOR
def choose(symbols: tuple[str, ...], changes: tuple[str, ...], reason: str, author: str) -> None:
    """Have the universe chosen from candidates by their scores.

    The candidates are the symbols named here, else those before, else the list in force. What may be entered now stays until its score
    says otherwise; the others must earn it.
    """
    settings = load()
    old = required(settings)
    before = old.universe_rules or msgspec.structs.replace(UNIVERSE, candidates=old.universe)
    given: dict[str, Any] = {"candidates": list(symbols)} if symbols else {}
    rules = universe_rules(before, **given, **dict(_assignment(text) for text in changes))
    _write(settings, old, author, reason, choosing(old, rules))


@universe.command()
@_SYMBOLS
@REASON
@AUTHOR
def fix(symbols: tuple[str, ...], reason: str, author: str) -> None:
    """Set the universe to a list that nothing but a person changes: the symbols named here, else those that may be entered now."""
    settings = load()
    old = required(settings)
    _write(settings, old, author, reason, {"universe": list(symbols) or old.universe, "universe_rules": None})


def newest_quality(settings: Settings) -> dict[str, SymbolQuality]:
    """Return the newest measurement of every symbol for the account, by symbol."""
    found = [record for _, record in read_all(settings, "universe.quality") if isinstance(record, SymbolQuality)]
    return {record.symbol: record for record in found if record.account == settings.account}


_MEASURES = ("volume a minute", "depth", "spread", "volatility", "data missing, stale, lost")


def _row(quality: SymbolQuality | None) -> list[str]:
    if quality is None:
        return [*["-"] * (len(_MEASURES) + 2), "never"]
    depth = quality.touch_notional if quality.depth_notional is None else quality.depth_notional
    measures = (
        (quality.quote_volume, ",.0f", quality.volume_score), (depth, ",.0f", quality.depth_score),
        (quality.spread_bps, ".2f bps", quality.spread_score), (quality.volatility, ".0%", quality.volatility_score),
    )  # fmt: skip
    stale = max(quality.stale_share, quality.book_stale_share or 0.0)
    data = f"{quality.missing_share:.1%}, {stale:.1%}, {quality.lost_share:.1%}{_scored(quality.data_score)}"
    cells = [f"{_number(value, form)}{_scored(score)}" for value, form, score in measures]
    return ["-" if quality.score is None else f"{quality.score:.2f}", quality.weakest or "-", *cells, data, time_text(quality.event_ts)]


def _number(value: float | None, form: str) -> str:
    spec, _, unit = form.partition(" ")
    return "-" if value is None else f"{value:{spec}}" + (f" {unit}" if unit else "")


def _scored(score: float | None) -> str:
    return "" if score is None else f" ({score:.2f})"


def _assignment(text: str) -> tuple[str, str]:
    name, equals, value = text.partition("=")
    if not equals:
        raise ConfigurationError(f"{text!r} sets nothing", "write --set RULE=VALUE, for example --set size=5")
    return name.strip(), value.strip()


def _write(settings: Settings, old: Policy, author: str, reason: str, fields: dict[str, Any]) -> None:
    change(settings, old, person_changes(old, now_us=now_us(), author=author, reason=reason, **fields))
