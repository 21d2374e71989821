"""The universe brain: which of a person's candidates may be entered, by their scores and with hysteresis. Pure.

A candidate joins once its score has been at least ``entry_score``, and its rank among the candidates within ``size``, for ``hold_s``
without a break, and a seat is free. A member leaves once its score has been below ``exit_score`` for as long. Between the two thresholds
nothing happens. Where all seats are taken, a member that ranks beyond them, and that a better one has outscored for as long by at least
the distance of the thresholds, gives its seat to that one. So whoever joins stays for ``hold_s``, and whoever leaves is away for as long,
unless a person changes candidates or rules.

A symbol that is not measured (none came, it is too old, or too little was observed) counts as below ``exit_score``: nothing is known of it.
What leaves the universe may not be entered any more; its positions are left by the exits as ever.
"""

from __future__ import annotations

from collections.abc import Sequence

from msgspec import Struct

from schemas.common import UniverseRules
from schemas.universe.records import SymbolQuality

AUTHOR = "universe-brain"
SECOND = 1_000_000


class Standing(Struct):
    """What is known of a symbol, and what it is on the way to.

    Attributes
    ----------
    score : float | None
        Its newest score, 0 to 1; None before there is one.
    weakest : str | None
        What lowers that score most.
    seen : int
        Event time of the newest measurement, microseconds; 0 before the first.
    member : bool
        Whether it may be entered.
    due_since : int
        Since when a member's score is too low, or another may join, without a break, microseconds; 0 where it is not so.
    outscored_since : int
        Since when a member would give its seat to a better one, without a break, microseconds; 0 where it would not.
    """

    score: float | None = None
    weakest: str | None = None
    seen: int = 0
    member: bool = False
    due_since: int = 0
    outscored_since: int = 0

    def put(self, *, member: bool) -> None:
        """Join or leave; what was on the way begins anew."""
        self.member, self.due_since, self.outscored_since = member, 0, 0


class Universe(Struct):
    """What the universe brain remembers.

    Attributes
    ----------
    chooses : bool
        Whether it has rules to go by.
    standings : dict
        Standing by symbol, of every symbol that is measured or a candidate.
    """

    chooses: bool = False
    standings: dict[str, Standing] = {}


def on_quality(universe: Universe, quality: SymbolQuality) -> None:
    """Keep the newest score of a symbol."""
    standing = universe.standings.setdefault(quality.symbol, Standing())
    if quality.event_ts >= standing.seen:
        standing.score, standing.weakest, standing.seen = quality.score, quality.weakest, quality.event_ts


def choose(universe: Universe, rules: UniverseRules | None, in_force: Sequence[str], now: int) -> tuple[list[str], str]:
    """Return the symbols that may be entered from now on, in the order of the candidates, and why they changed; empty where they did not.

    Parameters
    ----------
    universe
        What the brain remembers; changed.
    rules
        A person's rules; None where the list in force is as it should be.
    in_force
        The list in force: what the brain begins with when there are rules for the first time.
    now
        Event time, microseconds since the epoch, UTC.
    """
    if rules is None:
        _forget(universe)
        return list(in_force), ""
    standings = {symbol: universe.standings.setdefault(symbol, Standing()) for symbol in rules.candidates}
    if not universe.chooses:
        universe.chooses = True
        for symbol in [symbol for symbol in rules.candidates if symbol in in_force][: rules.size]:
            standings[symbol].put(member=True)
    for symbol in universe.standings.keys() - standings.keys():
        universe.standings[symbol].put(member=False)
        if now - universe.standings[symbol].seen > rules.max_age_s * SECOND:
            del universe.standings[symbol]
    notes = _move(_Round(standings, rules, now))
    members = [symbol for symbol in rules.candidates if standings[symbol].member]
    if members == list(in_force):
        return members, ""
    notes += [f"{symbol} is no candidate any more" for symbol in in_force if symbol not in standings]
    return members, "; ".join(notes) or "the symbols chosen before"


def _forget(universe: Universe) -> None:
    """Forget who is a member, but not what is measured, so that new rules begin from the list that is in force then."""
    if universe.chooses:
        universe.chooses = False
        for standing in universe.standings.values():
            standing.put(member=False)


class _Round:
    """One look at all candidates.

    Parameters
    ----------
    standings
        Their standings by symbol, in the order of the candidates.
    rules
        Rules to go by.
    now
        Event time, microseconds.
    """

    def __init__(self, standings: dict[str, Standing], rules: UniverseRules, now: int) -> None:
        self.standings, self.rules, self.now = standings, rules, now
        self.scores = {
            symbol: standing.score
            for symbol, standing in standings.items()
            if standing.score is not None and now - standing.seen <= rules.max_age_s * SECOND
        }
        # Best first; of equal scores the candidate that a person named first.
        self.ranked = sorted(standings, key=lambda symbol: -self.scores.get(symbol, -1.0))
        self.members = [symbol for symbol in self.ranked if standings[symbol].member]
        self.within = set(self.ranked[: rules.size])
        self.eligible = [
            symbol for symbol in self.ranked
            if not standings[symbol].member and symbol in self.within and self.scores.get(symbol, -1.0) >= rules.entry_score
        ]  # fmt: skip

    def fails(self, symbol: str) -> bool:
        """Return whether a member's score is too low to stay."""
        return self.scores.get(symbol, -1.0) < self.rules.exit_score

    def outscored(self, symbol: str) -> bool:
        """Return whether a member that ranks beyond the seats is outscored clearly by one that has none."""
        if symbol in self.within or len(self.members) < self.rules.size or not self.eligible:
            return False
        return self.beats(self.eligible[0], symbol)

    def beats(self, symbol: str, member: str) -> bool:
        """Return whether a symbol outscores a member by the distance of the thresholds."""
        return self.scores[symbol] >= self.scores.get(member, -1.0) + self.rules.entry_score - self.rules.exit_score

    def held(self, since: int, *, justified: bool) -> tuple[int, bool]:
        """Return since when something is justified without a break, 0 where it is not, and whether it has been for long enough."""
        if not justified:
            return 0, False
        since = since or self.now
        return since, self.now - since >= self.rules.hold_s * SECOND

    def put(self, symbol: str, *, member: bool) -> None:
        """Let a symbol join or leave."""
        self.standings[symbol].put(member=member)
        if member:
            self.members.append(symbol)
        else:
            self.members.remove(symbol)

    def said(self, symbol: str) -> str:
        """Return a symbol's score in words."""
        if symbol not in self.scores:
            return "no score"
        weakest = self.standings[symbol].weakest
        return f"score {self.scores[symbol]:.2f}" + (f", least for its {weakest}" if weakest else "")


def _move(look: _Round) -> list[str]:
    """Let members leave and candidates join; return a note of each."""
    rules, notes = look.rules, []
    failed, outscored, ready = _due(look)
    for symbol in failed:
        look.put(symbol, member=False)
        notes.append(f"{symbol} left: {look.said(symbol)}, below {rules.exit_score:g} for {rules.hold_s} s")
    for symbol in look.members[rules.size :]:
        look.put(symbol, member=False)
        notes.append(f"{symbol} left: {look.said(symbol)}, there are {rules.size} seats")
    for symbol in ready:
        if len(look.members) >= rules.size:
            worst = next((each for each in reversed(look.members) if each in outscored and look.beats(symbol, each)), None)
            if worst is None:
                continue
            look.put(worst, member=False)
            notes.append(f"{worst} left: {look.said(worst)}, {symbol} has outscored it for {rules.hold_s} s")
        look.put(symbol, member=True)
        notes.append(f"{symbol} joined: {look.said(symbol)}, at least {rules.entry_score:g} for {rules.hold_s} s")
    return notes


def _due(look: _Round) -> tuple[list[str], list[str], list[str]]:
    """Return the members that failed for long enough, those outscored for long enough, and who may join; each the best first."""
    failed, outscored, ready = list[str](), list[str](), list[str]()
    for symbol in look.ranked:
        standing = look.standings[symbol]
        justified = look.fails(symbol) if standing.member else symbol in look.eligible
        standing.due_since, due = look.held(standing.due_since, justified=justified)
        if due:
            (failed if standing.member else ready).append(symbol)
        justified = standing.member and look.outscored(symbol)
        standing.outscored_since, due = look.held(standing.outscored_since, justified=justified)
        if due:
            outscored.append(symbol)
    return failed, outscored, ready
