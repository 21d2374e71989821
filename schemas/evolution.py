"""How a schema may follow another, and one schema that reads the records of both.

A field may come if it has a default. Everything else that changes what a field is, or takes one away, would leave readers of one of
the two without a value, or a column of the history with values of two kinds.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Problem:
    """Why a schema cannot be applied.

    Attributes
    ----------
    field
        The field.
    what
        What is wrong with it.
    remedy
        What to do about it.
    """

    field: str
    what: str
    remedy: str

    def __str__(self) -> str:
        return f"field {self.field} {self.what}; {self.remedy}"


def gone(name: str) -> Problem:
    """Return what is wrong with taking a field away."""
    return Problem(name, "is gone", "keep it, and say in its doc that it is not written any more; or make it a new topic")


def retyped(name: str, how: str = "") -> Problem:
    """Return what is wrong with another type for a field."""
    return Problem(name, f"has changed its type{how}", "keep the type, and add a field of another name; or make it a new topic")


def bare(name: str) -> Problem:
    """Return what is wrong with a new field that has no default."""
    return Problem(name, "is new and has no default", 'give it a default, or make it ["null", T] with default null')


def problems(old: dict[str, Any], new: dict[str, Any]) -> list[Problem]:
    """Return what keeps one version of a record's schema from following another, field by field."""
    before, after = fields(old), fields(new)
    out = [gone(name) for name in before if name not in after]
    out += [bare(name) for name, field in after.items() if name not in before and "default" not in field]
    return out + [retyped(name) for name in before.keys() & after.keys() if not _follows(before[name]["type"], after[name]["type"])]


def fields(schema: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """Return a record's fields by name, with every reference to a named type replaced by its definition."""
    named: dict[str, Any] = {}
    return {field["name"]: field | {"type": _spelt_out(field["type"], named, "")} for field in schema["fields"]}


def united(first: dict[str, Any], second: dict[str, Any]) -> dict[str, Any]:
    """Return a schema with the fields of both; a field or type that both have is as the first has it.

    Fields that the second alone has come last, in its order.
    """
    both = fields(second) | fields(first)
    order = [*fields(first), *(name for name in fields(second) if name not in fields(first))]
    defined: set[str] = set()
    return first | {"fields": [both[name] | {"type": _referring(both[name]["type"], defined)} for name in order]}


def _spelt_out(kind: Any, named: dict[str, Any], namespace: str) -> Any:
    if isinstance(kind, list):
        return [_spelt_out(item, named, namespace) for item in kind]
    if isinstance(kind, str):
        return named.get(kind, named.get(f"{namespace}.{kind}", kind))
    if "name" in kind:
        namespace = kind.get("namespace", namespace)
        inner = [item | {"type": _spelt_out(item["type"], named, namespace)} for item in kind.get("fields", ())]
        made = kind | {"namespace": namespace} | ({"fields": inner} if inner else {})
        named[f"{namespace}.{kind['name']}"] = named[kind["name"]] = made
        return made
    return {key: _spelt_out(value, named, namespace) if key in ("type", "items", "values") else value for key, value in kind.items()}


def _referring(kind: Any, defined: set[str]) -> Any:
    """Return a spelt out type with every named type defined where it stands first, and referred to after that."""
    if isinstance(kind, list):
        return [_referring(item, defined) for item in kind]
    if isinstance(kind, str):
        return kind
    if "name" in kind:
        name = f"{kind['namespace']}.{kind['name']}"
        if name in defined:
            return name
        defined.add(name)
        inner = [item | {"type": _referring(item["type"], defined)} for item in kind.get("fields", ())]
        return kind | ({"fields": inner} if inner else {})
    return {key: _referring(value, defined) if key in ("items", "values") else value for key, value in kind.items()}


def _follows(old: Any, new: Any) -> bool:
    """Return whether values of both types are of one kind; an enum may have got symbols where it has a default for readers without."""
    if isinstance(old, list) or isinstance(new, list):
        return isinstance(old, list) and isinstance(new, list) and len(old) == len(new) and all(map(_follows, old, new))
    if isinstance(old, str) or isinstance(new, str):
        return bool(_plain(old) == _plain(new))
    if (old["type"], old.get("name"), old.get("logicalType")) != (new["type"], new.get("name"), new.get("logicalType")):
        return False
    if old["type"] == "enum":
        return old["symbols"] == new["symbols"] or ("default" in old and set(old["symbols"]) <= set(new["symbols"]))
    if old["type"] == "record":
        names = [field["name"] for field in old["fields"]]
        kinds = zip(old["fields"], new["fields"], strict=False)
        return names == [field["name"] for field in new["fields"]] and all(_follows(one["type"], other["type"]) for one, other in kinds)
    inner = {"array": "items", "map": "values"}.get(old["type"])
    return inner is None or _follows(old[inner], new[inner])


def _plain(kind: Any) -> Any:
    return kind["type"] if isinstance(kind, dict) and kind.keys() == {"type"} else kind
