"""What differs between two policies, which of two is in force, and what the person behind one has set."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec

from schemas.common import PolicyBase, UniverseRules
from schemas.governance.records import Policy, PolicyAudit

_IDENTITY = frozenset({"event_id", "event_ts", "ingest_ts", "account", "version", "author", "reason", "base"})


def rank(policy: Policy) -> tuple[int, bool, int]:
    """Return the order of policies: the newest version; of equal versions a person's; of those the latest.

    A person and a brain may write the same version at once, and the partitions of a broadcast topic may see the two in
    either order: by this order all end with the same one.
    """
    return (policy.version, policy.base is None, policy.event_ts)


def base_of(policy: Policy) -> PolicyBase:
    """Return what the person behind a policy has set: its own values where a person wrote it."""
    if policy.base is not None:
        return policy.base
    return PolicyBase(
        version=policy.version, author=policy.author, mode=policy.mode, stance=policy.stance,
        strategies=policy.strategies, limits=policy.limits, sizing=policy.sizing,
    )  # fmt: skip


def person_changes(policy: Policy, *, now_us: int, author: str, reason: str, **fields: Any) -> Policy:
    """Return the policy that a person makes of a policy.

    What the brains have tightened goes back to what the person before had set, so that a brain's strictness never becomes
    a person's limit; the brains look at it anew within a second.

    Parameters
    ----------
    policy
        The newest policy.
    now_us
        Time of the change, microseconds since the epoch, UTC.
    author
        Who changes it.
    reason
        Why.
    fields
        Fields of the policy to set.
    """
    base = base_of(policy)
    version = policy.version + 1
    person: dict[str, Any] = {
        "mode": base.mode, "stance": base.stance, "strategies": base.strategies, "limits": base.limits, "sizing": base.sizing,
        **fields,
        "event_id": f"{policy.account}:policy:{version}:{author}", "event_ts": now_us, "ingest_ts": now_us,
        "version": version, "author": author, "reason": reason, "base": None,
    }  # fmt: skip
    return msgspec.structs.replace(policy, **person)


def with_symbols(policy: Policy, symbols: Sequence[str]) -> dict[str, Any]:
    """Return the fields of a policy in which a person names its symbols: candidates where they are chosen from, else the universe itself.

    Parameters
    ----------
    policy
        The newest policy.
    symbols
        Symbols; none to leave them as they are.
    """
    rules = policy.universe_rules
    if not symbols:
        return {}
    if rules is None:
        return {"universe": list(symbols)}
    return choosing(policy, msgspec.structs.replace(rules, candidates=list(dict.fromkeys(symbols))))


def choosing(policy: Policy, rules: UniverseRules) -> dict[str, Any]:
    """Return the fields of a policy in which the universe is chosen by rules: at first what may be entered now, as far as they allow it."""
    kept = [symbol for symbol in rules.candidates if symbol in policy.universe]
    return {"universe": kept[: rules.size], "universe_rules": rules}


def changes(old: Policy | None, new: Policy) -> dict[str, str]:
    """Return what changed: the field, dotted for nested ones, to ``old -> new``; ``none`` stands for what is not there."""
    before = {} if old is None else _flat(old)
    after = _flat(new)
    names = [*after, *(name for name in before if name not in after)]
    return {name: f"{before.get(name, 'none')} -> {after.get(name, 'none')}" for name in names if before.get(name) != after.get(name)}


def audit(old: Policy | None, new: Policy) -> PolicyAudit:
    """Return the audit record of a change."""
    return PolicyAudit(
        event_id=f"{new.event_id}:audit", event_ts=new.event_ts, ingest_ts=new.ingest_ts, account=new.account,
        version=new.version, author=new.author, reason=new.reason, changes=changes(old, new),
    )  # fmt: skip


def _flat(policy: Policy) -> dict[str, str]:
    out: dict[str, str] = {}
    for name, value in msgspec.structs.asdict(policy).items():
        if name in _IDENTITY or value is None:
            continue
        if name == "strategies":
            out[name] = ", ".join(f"{strategy.name} x {strategy.weight:g}" for strategy in policy.strategies)
        elif isinstance(value, msgspec.Struct):
            out.update({f"{name}.{field}": _text(inner) for field, inner in msgspec.structs.asdict(value).items()})
        else:
            out[name] = _text(value)
    return out


def _text(value: Any) -> str:
    if isinstance(value, list):
        return ", ".join(_text(item) for item in value)
    return f"{value.normalize():f}" if hasattr(value, "normalize") else str(value)
