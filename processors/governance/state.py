"""What the governance stage remembers."""

from __future__ import annotations

from msgspec import Struct, field

from processors.governance.feeds import Feeds
from processors.governance.universe import Universe
from schemas.common import HealthState, Mode, Stance
from schemas.governance.records import Policy
from schemas.positions.records import PortfolioSnapshot

_SEVERITY = {HealthState.HEALTHY: 0, HealthState.DEGRADED: 1, HealthState.STARTING: 2, HealthState.UNKNOWN: 3, HealthState.DOWN: 4}


class WorkerHealth(Struct):
    """Health of one worker process.

    Attributes
    ----------
    state
        Its newest state.
    since
        When it came into that state, microseconds since the epoch, UTC.
    seen
        Time of its newest event, microseconds since the epoch, UTC.
    """

    state: HealthState
    since: int
    seen: int


class SharedState(Struct):
    """What every partition knows: it is fed by broadcast topics only.

    Attributes
    ----------
    policy
        The newest policy of the account.
    snapshot
        The newest state of the account.
    health
        Health by component and worker.
    feeds
        Health of feeds by venue and symbol.
    """

    policy: Policy | None = None
    snapshot: PortfolioSnapshot | None = None
    health: dict[str, dict[str, WorkerHealth]] = {}
    feeds: Feeds = {}


class AccountState(Struct):
    """What the brains remember; it lives in the account's own partition.

    Attributes
    ----------
    results
        R multiples of the newest closed trades by strategy, oldest first.
    breach_ts
        Time of the newest breached limit, microseconds since the epoch, UTC; 0 where there was none.
    unreconciled
        Whether the platform and the venue differ without an explanation.
    stance, mode, factor
        What the brains hold at present, before it is bounded by what a person set; None before the first look.
    multipliers
        The strategy brain's multiplier by strategy.
    looser_since
        Since when a looser value is justified, by what is held, microseconds since the epoch, UTC.
    stop_drawdown
        Drawdown at which the brains last pulled the emergency stop, fraction; 0 where they did not.
    universe
        What the universe brain remembers.
    """

    results: dict[str, list[float]] = {}
    breach_ts: int = 0
    unreconciled: bool = False
    stance: Stance | None = None
    mode: Mode | None = None
    factor: float | None = None
    multipliers: dict[str, float] = {}
    looser_since: dict[str, int] = {}
    stop_drawdown: float = 0.0
    universe: Universe = field(default_factory=Universe)


def component_health(shared: SharedState, component: str) -> tuple[HealthState, int]:
    """Return the worst state of a component's workers and since when; UNKNOWN where none has reported."""
    workers = shared.health.get(component)
    if not workers:
        return HealthState.UNKNOWN, 0
    worst = max(workers.values(), key=lambda worker: (_SEVERITY[worker.state], -worker.since))
    return worst.state, worst.since
