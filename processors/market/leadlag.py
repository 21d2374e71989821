"""Which venue's mid moves first: cross-correlation of the mids' returns over a range of lags.

Event time is cut into steps of ``Rules.lead_grid_us``. A mid holds until its venue quotes another, so its value at the end of every step
is known, and a step's return is exact; what a step's return of one venue and a later one's of another have in common is summed by
their distance (F. de Jong and T. Nijman, "High frequency analysis of lead-lag relationships between financial markets", Journal of
Empirical Finance 4(2-3), 1997). The lag of a pair is where that correlation is greatest, as in M. Hoffmann, M. Rosenbaum and N. Yoshida,
"Estimation of the lead-lag parameter from non-synchronous data", Bernoulli 19(2), 2013; their estimator, after Hayashi and Yoshida, also
serves prices that are known at trades alone, which quotes do not need. Where it is greatest within one step, the side of the lags with
the greater squares says who leads (the lead/lag ratio of N. Huth and F. Abergel, "High frequency lead/lag relationships: empirical
facts", Journal of Empirical Finance 26, 2014). The weight of a return falls by 1/e in ``Rules.lead_window_us``.

A step is folded once ``Rules.lead_lateness_us`` has passed, so that a venue whose quotes take longer does not seem to follow. The times
are the venues' own; where one does not say them (Binance spot) they are the connector's, and its lag has the way to it in it.

Most returns are 0, and only others are kept, so the work is with the changes, and the memory with the lags: of a symbol and pair of
venues ``2 * lags + 1`` sums.
"""

from __future__ import annotations

import math
from itertools import combinations
from typing import NamedTuple

import msgspec

from processors.market.rules import Rules

SECOND = 1_000_000
LEAST_MOVES = 20.0
DEVIATIONS = 4.0
"""Standard errors, ``1 / sqrt(moves)``, that a correlation must exceed to count."""
LEAD_RATIO = 2.0
"""Sum of squares of one side's correlations over the other's from which that side leads."""

Moves = dict[str, list[tuple[int, float]]]
"""By venue: the last mid of each step with a quote that is not folded, by step."""


class Track(msgspec.Struct, array_like=True):
    """What is known of one venue's mid.

    Attributes
    ----------
    step : int
        Step of its last quote.
    mid : float
        That quote's mid, quote currency.
    returns : list
        Its last returns other than 0, each with its step, no further back than the greatest lag.
    variance : float
        Weighted sum of squared returns.
    moves : float
        Weighted number of returns other than 0.
    """

    step: int
    mid: float
    returns: list[tuple[int, float]] = []
    variance: float = 0.0
    moves: float = 0.0


class LeadState(msgspec.Struct):
    """Sums over the folded steps; a table's state of its own, because it changes less often than quotes come.

    Attributes
    ----------
    folded : int
        The last folded step; -1 before the first.
    weighed : int
        Second at which every sum has its weight.
    tracks : dict of Track
        By venue.
    products : dict
        By pair ``first second``, names in order: weighted sums of products of returns. At ``lags + k`` those of the first's return and
        the second's k steps later.
    """

    folded: int = -1
    weighed: int = 0
    tracks: dict[str, Track] = {}
    products: dict[str, list[float]] = {}


class Pair(NamedTuple):
    """A pair of venues that moves alike.

    Attributes
    ----------
    leader, follower
        Who moves first; in any order where ``leads`` is False, because nobody does.
    leads
        Whether one of them moves first.
    steps
        By how many steps, 0 where by less than one.
    correlation
        At that lag.
    """

    leader: str
    follower: str
    leads: bool
    steps: int
    correlation: float


class Lead(NamedTuple):
    """See the fields of ``ExchangeNormalized``."""

    lead_venue: str | None = None
    lag_venue: str | None = None
    lead_ms: int | None = None
    lead_correlation: float | None = None


def note(rules: Rules, state: LeadState, moves: Moves, venue: str, ts: int, mid: float) -> None:
    """Keep a venue's newest mid, at the time of its quote, microseconds; one that is too late counts in the first open step."""
    step = max(ts // rules.lead_grid_us, state.folded + 1)
    waiting = moves.setdefault(venue, [])
    if waiting and waiting[-1][0] >= step:
        waiting[-1] = (waiting[-1][0], mid)
    else:
        waiting.append((step, mid))


def fold(rules: Rules, state: LeadState, moves: Moves, now: int) -> None:
    """Fold the steps that ended at ``now - lead_lateness_us`` or before it."""
    last = (now - rules.lead_lateness_us) // rules.lead_grid_us - 1
    if last <= state.folded:
        return
    state.folded = last
    due = sorted((step, venue, mid) for venue, waiting in moves.items() for step, mid in waiting if step <= last)
    for venue, waiting in moves.items():
        moves[venue] = [each for each in waiting if each[0] > last]
    for step, venue, mid in due:
        _move(rules, state, step, venue, mid)


def _move(rules: Rules, state: LeadState, step: int, venue: str, mid: float) -> None:
    """Take a venue's mid at the end of a step; of one step the venues come one by one."""
    track = state.tracks.get(venue)
    if track is None:
        state.tracks[venue] = Track(step, mid)
        return
    known = (step - track.step) * rules.lead_grid_us <= rules.stale_us
    change = math.log(mid / track.mid) if known else 0.0
    track.step, track.mid = step, mid
    if change == 0.0:
        return
    _weigh(rules, state, step * rules.lead_grid_us // SECOND)
    lags = rules.lead_lags
    for other, theirs in state.tracks.items():
        if other == venue:
            continue
        recent = [(step - at, value) for at, value in theirs.returns if step - at <= lags]
        if recent:
            key, sign = (f"{venue} {other}", -1) if venue < other else (f"{other} {venue}", 1)
            sums = state.products.get(key)
            if sums is None:
                sums = state.products[key] = [0.0] * (2 * lags + 1)
            for distance, value in recent:
                sums[lags + sign * distance] += change * value
    track.returns = [each for each in track.returns if step - each[0] <= lags]
    track.returns.append((step, change))
    track.variance += change * change
    track.moves += 1.0


def _weigh(rules: Rules, state: LeadState, second: int) -> None:
    """Lessen the weight of what is summed, once a second of event time."""
    if second <= state.weighed:
        return
    factor = math.exp((state.weighed - second) * SECOND / rules.lead_window_us)
    state.weighed = second
    for track in state.tracks.values():
        track.variance *= factor
        track.moves *= factor
    for key, sums in state.products.items():
        state.products[key] = [value * factor for value in sums]


def lead(rules: Rules, state: LeadState, venues: list[str]) -> Lead:
    """Return who leads among venues.

    Of several the leader is who leads more of the others than lead it, and the lag is that to the one whose returns follow it most
    closely. Correlations that are small, or of few moves, say nothing.
    """
    pairs = [pair for names in combinations(sorted(venues), 2) if (pair := _pair(rules, state, *names)) is not None]
    if not pairs:
        return Lead()
    ahead = dict.fromkeys(sorted(venues), 0)
    for pair in pairs:
        ahead[pair.leader] += pair.leads
        ahead[pair.follower] -= pair.leads
    first = max(ahead, key=lambda venue: ahead[venue])
    if not any(pair.leads for pair in pairs):
        return Lead(lead_ms=0, lead_correlation=max(pair.correlation for pair in pairs))
    if ahead[first] <= 0:
        return Lead()  # each is led by another
    closest = max((pair for pair in pairs if pair.leads and pair.leader == first), key=lambda pair: pair.correlation)
    return Lead(first, closest.follower, closest.steps * rules.lead_grid_us // 1_000, closest.correlation)


def _pair(rules: Rules, state: LeadState, first: str, second: str) -> Pair | None:
    sums, one, other = state.products.get(f"{first} {second}"), state.tracks.get(first), state.tracks.get(second)
    if sums is None or one is None or other is None:
        return None
    moves = min(one.moves, other.moves)
    if moves < LEAST_MOVES:
        return None
    scale, least = math.sqrt(one.variance * other.variance), DEVIATIONS / math.sqrt(moves)
    best, lags = max(range(len(sums)), key=sums.__getitem__), rules.lead_lags
    correlation = min(1.0, sums[best] / scale)
    if correlation < max(rules.lead_correlation, least):
        return None
    steps = best - lags
    side = steps or _side(sums[:lags], sums[lags + 1 :], least * scale)
    leader, follower = (second, first) if side < 0 else (first, second)
    return Pair(leader, follower, side != 0, abs(steps), correlation)


def _side(before: list[float], after: list[float], least: float) -> int:
    """Return -1 or 1 for the side of the lags that leads, 0 where neither does."""
    early, late = sum([value * value for value in before]), sum([value * value for value in after])
    if max(before) >= least and early >= LEAD_RATIO * late:
        return -1
    return 1 if max(after) >= least and late >= LEAD_RATIO * early else 0
