"""The one table of topics, stages and components: who writes what, who reads it, keyed by what, in which record type.

Everything else is derived from this table or checked against it: topic creation, registry subjects, history tables,
workers and dashboards. A test fails on a topic without a writer or without a reader.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from schemas.clock.records import ClockTick
from schemas.exchange.records import ExchangeFrame
from schemas.execution.records import AccountBalance, AccountTransfer, ExecutionResult, OrderCommand, ReconcileEvent
from schemas.exits.records import ExitDecision
from schemas.features.records import Features, MarketRegime
from schemas.governance.records import DecisionMade, Policy, PolicyAudit
from schemas.health.records import HealthEvent
from schemas.journal.records import TradeClosed
from schemas.learning.records import ModelActive, ModelRetrain, ModelSample, ModelTraining, RlReward
from schemas.market.records import (
    ExchangeNormalized,
    MarketDepth,
    MarketFunding,
    MarketInstrument,
    MarketKline,
    MarketQuote,
    MarketTick,
)
from schemas.positions.records import PortfolioExposure, PortfolioMark, PortfolioPosition, PortfolioSnapshot
from schemas.record import Record
from schemas.risk.records import RiskEvent, SizingDecided, TradeIntent
from schemas.signals.records import SignalGenerated, SignalScore
from schemas.universe.records import SymbolQuality

DAY_MS = 24 * 3_600_000
#: How far back the stages can be run again: no input of theirs is deleted or compacted earlier.
REPLAY_MS = 7 * DAY_MS


class Kind(StrEnum):
    """What runs a node of the topology."""

    STAGE = "stage"
    """A Faust application in ``processors/<name>``."""
    COMPONENT = "component"
    """A process that touches the world outside Kafka."""


@dataclass(frozen=True, slots=True)
class Topic:
    """One topic.

    Attributes
    ----------
    name
        Name of the topic; its subject is ``<name>-value``.
    record
        Type of its values.
    key
        What the key is made of, for example ``symbol`` or ``account:symbol``; keys are UTF-8 text.
    partition_by
        The part of the key that chooses the partition, where that is not the whole key: topics that are partitioned by
        the same thing can be joined by one stage.
    broadcast
        Whether each record is written once to every partition, because every worker of a stage needs it.
    state
        Whether it is compacted: the newest record of a key is the state.
    retention_ms
        How long records are kept; None for a compacted topic.
    internal
        Whether it belongs to one stage: nobody else may read it, and it may change without notice to others.
    kept
        Whether the history store keeps it.
    """

    name: str
    record: type[Record]
    key: str
    partition_by: str = ""
    broadcast: bool = False
    state: bool = False
    retention_ms: int | None = 30 * DAY_MS
    internal: bool = False
    kept: bool = True

    @property
    def subject(self) -> str:
        """Subject of its values in the registry (TopicNameStrategy)."""
        return f"{self.name}-value"

    @property
    def table(self) -> str:
        """Table of the history store that keeps it."""
        return self.name.replace(".", "_")

    @property
    def dead_letters(self) -> str:
        """Topic that its unreadable or poisonous records go to."""
        return f"{self.name}.dlq"

    @property
    def compatibility(self) -> str:
        """Compatibility level of its subject."""
        return "BACKWARD_TRANSITIVE" if self.internal else "FULL_TRANSITIVE"


@dataclass(frozen=True, slots=True)
class Node:
    """A stage or a component: what it reads and what it writes.

    Attributes
    ----------
    gathers
        Of what a stage reads, the topics that only keep its tables up to date, or whose outcome nobody waits for: their records may gather
        for a moment, so that those that are waited for find the stage and Kafka free.
    gather_ms
        How long they may gather, milliseconds.
    linger_ms
        How long what a component sends may wait for more of it, milliseconds.
    """

    name: str
    kind: Kind
    reads: tuple[str, ...]
    writes: tuple[str, ...]
    doc: str
    gathers: tuple[str, ...] = ()
    gather_ms: int = 50
    linger_ms: int = 2


def _state(name: str, record: type[Record], key: str, partition_by: str = "", *, broadcast: bool = False) -> Topic:
    return Topic(name, record, key, partition_by, broadcast=broadcast, state=True, retention_ms=None)


TOPICS: dict[str, Topic] = {
    topic.name: topic
    for topic in (
        Topic("exchange.raw", ExchangeFrame, "venue:symbol", "symbol", retention_ms=REPLAY_MS, kept=False),
        Topic("market.tick", MarketTick, "symbol"),
        Topic("market.quote", MarketQuote, "symbol"),
        Topic("market.depth", MarketDepth, "symbol", retention_ms=REPLAY_MS),
        Topic("market.klines", MarketKline, "symbol"),
        Topic("market.funding", MarketFunding, "symbol"),
        _state("market.instrument", MarketInstrument, "venue:symbol", "symbol"),
        Topic("exchange.normalized", ExchangeNormalized, "symbol"),
        Topic("features", Features, "symbol"),
        _state("market.regime", MarketRegime, "symbol"),
        Topic("signal.score", SignalScore, "symbol"),
        Topic("ai.signal_generated", SignalGenerated, "symbol"),
        Topic("ai.decision.made", DecisionMade, "symbol"),
        Topic("sizing.decided", SizingDecided, "account"),
        Topic("trade.intent", TradeIntent, "account"),
        Topic("risk.events", RiskEvent, "account"),
        Topic("order.command", OrderCommand, "account"),
        Topic("execution.result", ExecutionResult, "account"),
        _state("account.balance", AccountBalance, "account"),
        Topic("account.transfer", AccountTransfer, "account"),
        Topic("reconcile.events", ReconcileEvent, "account"),
        _state("portfolio.position", PortfolioPosition, "account:symbol", "symbol"),
        Topic("portfolio.mark", PortfolioMark, "account", retention_ms=REPLAY_MS, internal=True, kept=False),
        _state("portfolio.snapshot", PortfolioSnapshot, "account", broadcast=True),
        _state("portfolio.exposure", PortfolioExposure, "account"),
        Topic("ai.exit.decision", ExitDecision, "account:symbol", "account"),
        Topic("trade.closed", TradeClosed, "account"),
        Topic("rl.reward", RlReward, "account"),
        Topic("learning.sample", ModelSample, "model", internal=True),
        Topic("model.retrain", ModelRetrain, "model"),
        Topic("model.training", ModelTraining, "model"),
        _state("model.active", ModelActive, "model", broadcast=True),
        _state("policy", Policy, "account", broadcast=True),
        Topic("policy.audit", PolicyAudit, "account"),
        Topic("universe.quality", SymbolQuality, "account:symbol", "account"),
        Topic("health.events", HealthEvent, "component", broadcast=True),
        Topic("clock", ClockTick, "clock", broadcast=True, retention_ms=REPLAY_MS, kept=False),
    )
}

NODES: dict[str, Node] = {
    node.name: node
    for node in (
        Node(
            "feed",
            Kind.COMPONENT,
            (),
            ("exchange.raw", "health.events"),
            "Venue connectors: frames as they come, by websocket, REST or from a recording, and how well each venue is followed.",
            linger_ms=20,
        ),
        Node("clock", Kind.COMPONENT, (), ("clock",), "One tick a second of event time to every partition."),
        Node(
            "market",
            Kind.STAGE,
            ("exchange.raw", "market.quote"),
            ("market.tick", "market.quote", "market.depth", "market.klines", "market.funding", "market.instrument", "exchange.normalized"),
            "Trades, quotes, books, bars, funding and instruments from raw frames; one symbol across venues.",
            gathers=("exchange.raw", "market.quote"),
        ),
        Node(
            "features",
            Kind.STAGE,
            ("market.klines", "market.quote", "market.depth", "market.funding", "exchange.normalized", "policy"),
            ("features", "market.regime", "universe.quality"),
            "Feature vectors at the close of bars, the regime at that of the primary ones; every minute, how well a symbol can be traded.",
            gathers=("market.quote", "market.depth", "market.funding", "exchange.normalized", "policy"),
            gather_ms=250,
        ),
        Node(
            "signals",
            Kind.STAGE,
            ("features", "market.regime", "model.active"),
            ("signal.score", "ai.signal_generated"),
            "Inference by the active models and their ensemble.",
            gathers=("market.regime",),
        ),
        Node(
            "governance",
            Kind.STAGE,
            (
                "ai.signal_generated",
                "policy",
                "health.events",
                "portfolio.snapshot",
                "portfolio.exposure",
                "risk.events",
                "reconcile.events",
                "trade.closed",
                "universe.quality",
                "clock",
            ),
            ("ai.decision.made", "policy", "policy.audit"),
            "Policy, mode, universe and the decision on every entry.",
            gathers=(
                "health.events",
                "portfolio.snapshot",
                "portfolio.exposure",
                "risk.events",
                "reconcile.events",
                "trade.closed",
                "universe.quality",
                "clock",
            ),
            gather_ms=250,
        ),
        Node(
            "risk",
            Kind.STAGE,
            (
                "ai.decision.made",
                "sizing.decided",
                "features",
                "market.quote",
                "market.funding",
                "market.instrument",
                "market.regime",
                "exchange.normalized",
                "policy",
                "portfolio.snapshot",
                "portfolio.exposure",
                "account.balance",
                "execution.result",
                "trade.closed",
            ),
            ("sizing.decided", "trade.intent", "risk.events"),
            "Sizing with five-input leverage, then every pre-trade check.",
            gathers=(
                "features",
                "market.quote",
                "market.funding",
                "market.instrument",
                "market.regime",
                "exchange.normalized",
                "portfolio.snapshot",
                "portfolio.exposure",
                "account.balance",
                "execution.result",
                "trade.closed",
            ),
            gather_ms=250,
        ),
        Node(
            "execution",
            Kind.STAGE,
            ("trade.intent", "execution.result", "clock"),
            ("order.command",),
            "Intents become commands with deterministic ids; each once.",
        ),
        Node(
            "orders",
            Kind.COMPONENT,
            ("order.command", "execution.result", "account.transfer", "portfolio.position", "portfolio.snapshot"),
            ("execution.result", "account.balance", "account.transfer", "reconcile.events"),
            "The order gateway: sends commands, queries after doubt, writes what happened, compares the platform with the venue.",
        ),
        Node(
            "positions",
            Kind.STAGE,
            ("execution.result", "account.balance", "account.transfer", "market.quote", "portfolio.position", "portfolio.mark", "clock"),
            ("portfolio.position", "portfolio.mark", "portfolio.snapshot", "portfolio.exposure"),
            "Positions, equity and exposure from fills, funding and marks.",
            gathers=("account.balance", "account.transfer", "market.quote", "portfolio.position", "portfolio.mark", "clock"),
            gather_ms=250,
        ),
        Node(
            "exits",
            Kind.STAGE,
            ("portfolio.position", "market.tick", "market.instrument", "market.regime", "features", "policy", "clock"),
            ("ai.exit.decision", "trade.intent"),
            "The exit brain: stop, ladder, breakeven, trailing, time.",
            gathers=("market.tick", "market.instrument", "market.regime", "features", "clock"),
        ),
        Node(
            "journal",
            Kind.STAGE,
            ("execution.result", "account.transfer", "ai.exit.decision"),
            ("trade.closed",),
            "Round trips with fees, funding, slippage and attribution.",
            gathers=("execution.result", "account.transfer", "ai.exit.decision"),
            gather_ms=250,
        ),
        Node(
            "learning",
            Kind.STAGE,
            (
                "trade.closed",
                "portfolio.snapshot",
                "ai.signal_generated",
                "signal.score",
                "features",
                "rl.reward",
                "learning.sample",
                "model.training",
                "model.active",
                "clock",
            ),
            ("rl.reward", "learning.sample", "model.retrain", "model.active"),
            "Rewards, the retrain request when due, and promotion of what the trainer made.",
            gathers=(
                "trade.closed",
                "portfolio.snapshot",
                "ai.signal_generated",
                "signal.score",
                "features",
                "rl.reward",
                "learning.sample",
                "clock",
            ),
            gather_ms=250,
        ),
        Node(
            "trainer",
            Kind.COMPONENT,
            ("model.retrain",),
            ("model.training",),
            "Trains on request from the history and stores the artefact.",
        ),
        Node(
            "venue",
            Kind.COMPONENT,
            ("market.quote", "market.tick"),
            (),
            "The paper venue: keeps a book from the live market and fills paper orders against it.",
        ),
        Node("recorder", Kind.COMPONENT, ("exchange.raw",), (), "Raw frames to compressed files, where it is started: quantum record."),
        Node("supervisor", Kind.COMPONENT, (), ("health.events",), "Starts, watches and restarts the workers."),
        Node(
            "operator",
            Kind.COMPONENT,
            ("policy.audit", "universe.quality"),
            ("policy", "policy.audit", "model.active"),
            "A person at the command line: policy, universe, models.",
        ),
        Node(
            "sink",
            Kind.COMPONENT,
            tuple(topic.name for topic in TOPICS.values() if topic.kept),
            (),
            "Carries topics into the history store.",
        ),
    )
}

STAGES: tuple[str, ...] = tuple(node.name for node in NODES.values() if node.kind is Kind.STAGE)


def writers(topic: str) -> list[str]:
    """Return the nodes that write a topic."""
    return [node.name for node in NODES.values() if topic in node.writes]


def readers(topic: str) -> list[str]:
    """Return the nodes that read a topic."""
    return [node.name for node in NODES.values() if topic in node.reads]
