"""Lets analysts' statements through that only read what they may read.

The engine's own ``readonly`` is not enough: it allows INTO OUTFILE, SYSTEM, KILL QUERY and reading files through functions. So
the statement is parsed by the engine itself (``parseQueryToJSON``, which takes exactly one statement and runs nothing), and every
node of its tree must be one that is known to be harmless; functions, tables and settings are looked up in ``permits``. What
passes runs with ``readonly``, as the second lock of the same door.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from connectors.clickhouse.lexer import Token, tokens
from connectors.clickhouse.server.engine import DATABASE, Engine, Handle
from connectors.clickhouse.server.errors import ClickHouseError, Code
from connectors.clickhouse.server.permits import TABLE_FUNCTIONS, Permits
from connectors.clickhouse.server.request import Call
from connectors.clickhouse.server.statement import Kind, Statement

_MAX_BYTES = 262_144
_ROOTS = frozenset(
    {"SelectWithUnionQuery", "SelectIntersectExceptQuery", "ShowTablesQuery", "ShowColumnsQuery", "ShowIndexesQuery", "ExplainQuery"}
)
_INNER = frozenset(
    {
        "SelectWithUnionQuery", "SelectIntersectExceptQuery", "SelectQuery", "ExpressionList", "Literal", "Identifier",
        "TableIdentifier", "Function", "QueryParameter", "Subquery", "Asterisk", "QualifiedAsterisk", "ColumnsRegexpMatcher",
        "ColumnsListMatcher", "QualifiedColumnsRegexpMatcher", "QualifiedColumnsListMatcher", "ColumnsTransformerList",
        "ColumnsApplyTransformer", "ColumnsExceptTransformer", "ColumnsReplaceTransformer", "ColumnsReplaceTransformerReplacement",
        "TablesInSelectQuery", "TablesInSelectQueryElement", "TableExpression", "TableJoin", "ArrayJoin", "SampleRatio",
        "OrderByElement", "InterpolateElement", "WithElement", "WindowDefinition", "WindowListElement", "SetQuery",
    }
)  # fmt: skip
_EXPLAINS = frozenset({"EXPLAIN", "EXPLAIN AST", "EXPLAIN SYNTAX", "EXPLAIN QUERY TREE", "EXPLAIN PIPELINE", "EXPLAIN ESTIMATE"})
_READS_A_TABLE = re.compile("(global)?(not)?(null)?in(ignoreset)?", re.IGNORECASE)
_SETTINGS_KEYS = frozenset({"type", "changes", "default_settings", "is_standalone"})
Node = dict[str, Any]


class Guard:
    """Checks analysts' requests.

    Parameters
    ----------
    engine
        The engine, open.
    """

    def __init__(self, engine: Engine) -> None:
        self._budget = engine.budget
        handle = engine.handle()
        try:
            self._permits = Permits.of(handle, engine.budget)
        finally:
            handle.close()

    def confine(self, call: Call, statement: Statement) -> None:
        """Refuse what a request asks beside its statement, and fill in the analysts' limits.

        An analyst's session would have nothing to keep, since neither settings nor temporary tables can be made in it: its id is
        dropped, so that nobody gets at another's session by guessing its id.

        Raises
        ------
        ClickHouseError
            The statement does not read, or a setting, the database or an external table is not for analysts.
        """
        if statement.kind is not Kind.READ:
            raise ClickHouseError(Code.READONLY, "Cannot execute query in readonly mode: analysts only read, one statement a request")
        if call.tables:
            raise ClickHouseError(Code.READONLY, "Cannot execute query in readonly mode: analysts send no external tables")
        if call.database not in ("default", DATABASE):
            raise ClickHouseError(Code.ACCESS_DENIED, f"analysts' database is {DATABASE}; name tables of {call.database} in full")
        for name, value in call.settings.items():
            self._permits.setting(name, value)
        call.database, call.session_id, call.session_must_exist = DATABASE, "", False
        call.settings = {
            "max_execution_time": str(self._budget.analyst_seconds),
            "max_memory_usage": str(self._budget.analyst_memory_bytes),
            **call.settings,
        }

    def admit(self, handle: Handle, statement: Statement) -> str:
        """Return the text to run for a statement, having made the handle read-only.

        Parameters
        ----------
        handle
            The handle that will run it.
        statement
            What was asked for.

        Raises
        ------
        ClickHouseError
            It is no single statement, or not for analysts.
        """
        sql = _described(statement.sql) or statement.sql
        if sql is statement.sql:
            if len(sql) > _MAX_BYTES or "\0" in sql:
                raise ClickHouseError(
                    Code.QUERY_IS_TOO_LARGE, f"analysts' statements have at most {_MAX_BYTES} characters, none of them NUL"
                )
            handle.apply({"max_query_size": str(4 * _MAX_BYTES)})
            self._check(handle.tree(sql), handle)
        handle.apply({"readonly": "2"})
        return sql

    def _check(self, root: Node, handle: Handle) -> None:
        if root.get("type") not in _ROOTS:
            raise _denied(f"a statement of this kind ({root.get('type')})")
        for node in _nodes(root):
            kind = node.get("type")
            if node.get("out_file") is not None:
                raise _denied("INTO OUTFILE")
            match kind:
                case "ExplainQuery" | "ShowTablesQuery" | "ShowColumnsQuery" | "ShowIndexesQuery" if node is root:
                    self._head(node)
                case "Function":
                    self._function(node)
                case "TableExpression":
                    self._source(node, handle)
                case "TableIdentifier":
                    self._table(node)
                case "ColumnsApplyTransformer":
                    self._called(str(node.get("func_name", "identity")))
                case "QueryParameter" if node.get("param_type") == "Identifier":
                    raise _denied("a parameter that stands for a name")
                case "SetQuery":
                    self._settings(node)
                case str() if kind in _INNER:
                    pass
                case _:
                    raise _denied(f"this part of a statement ({kind})")

    def _head(self, node: Node) -> None:
        match node["type"]:
            case "ExplainQuery":
                if node.get("kind") not in _EXPLAINS or "table_function" in node:
                    raise _denied(str(node.get("kind")))
                options: Node = node.pop("settings", None) or {"type": "SetQuery", "changes": []}
                unknown = [each["name"] for each in options.get("changes", []) if not self._permits.explain_setting(each["name"])]
                if unknown or not set(options) <= {"type", "changes"}:
                    raise _denied(f"EXPLAIN with {', '.join(unknown) or 'these settings'}")
            case "ShowTablesQuery":
                source = node.pop("from", None) or {"name": DATABASE}
                if source.get("name") == "default" or "children" in source:
                    raise _denied(f"SHOW TABLES FROM {source.get('name')}")
            case _:
                database = node.get("database", "") or (node.get("from_database") or "")
                if not self._permits.table(str(database), str(node.get("table", ""))):
                    raise _denied(f"SHOW of {database}.{node.get('table')}")

    def _function(self, node: Node) -> None:
        name = str(node.get("name", ""))
        self._called(name)
        arguments = _children(node.get("arguments"))
        for argument in arguments:
            # A higher-order function takes another function by its bare name.
            if argument.get("type") == "Identifier" and str(argument.get("name", "")).lower() in self._permits.refused:
                self._called(str(argument["name"]))
        if _READS_A_TABLE.fullmatch(name) and len(arguments) > 1 and arguments[1].get("type") == "Identifier":
            self._table(arguments[1])  # x IN t reads the table t

    def _called(self, name: str) -> None:
        if not self._permits.function(name):
            raise _denied(f"the function {name}")

    def _source(self, node: Node, handle: Handle) -> None:
        function = node.get("table_function")
        if function is None:
            return
        name = str(function.get("name", ""))
        if name.lower() in TABLE_FUNCTIONS:
            arguments = _children(function.get("arguments"))
            if name.lower() == "values" and arguments:
                _refuse_expressions(arguments[0])
        elif name.removeprefix(f"{DATABASE}.") not in handle.views(DATABASE):
            raise _denied(f"the table function {name}")
        function["type"] = "ExpressionList"  # its name has been looked at; its arguments are walked as any others

    def _table(self, node: Node) -> None:
        parts = node.get("name_parts") or [node.get("name", "")]
        database, name = ("", parts[0]) if len(parts) == 1 else (parts[0], parts[1])
        if len(parts) > 2 or not self._permits.table(str(database), str(name)):
            raise _denied(f"the table {'.'.join(map(str, parts))}")

    def _settings(self, node: Node) -> None:
        if not set(node) <= _SETTINGS_KEYS:
            raise _denied("these settings")
        for change in node.get("changes", []):
            value = change.get("value")
            self._permits.setting(str(change["name"]), value.get("value") if isinstance(value, dict) else value)
        for name in node.get("default_settings", []):
            self._permits.setting(str(name), "default")


def _denied(what: str) -> ClickHouseError:
    return ClickHouseError(Code.ACCESS_DENIED, f"Not enough privileges. Analysts may not use {what}")


def _nodes(root: Node) -> Iterator[Node]:
    """Yield every node with a type, parents first."""
    waiting: list[Any] = [root]
    while waiting:
        value = waiting.pop()
        if isinstance(value, list):
            waiting.extend(value)
        elif isinstance(value, dict):
            if "type" in value:
                yield value
            waiting.extend(value.values())


def _children(expressions: Any) -> list[Node]:
    found = expressions.get("children", []) if isinstance(expressions, dict) else []
    return [each for each in found if isinstance(each, dict)]


def _refuse_expressions(structure: Node) -> None:
    """Refuse columns that are more than a name and a type: DEFAULT and ALIAS have expressions that are not in the tree."""
    value = structure.get("value")
    if structure.get("type") != "Literal" or not isinstance(value, dict) or value.get("field_type") != "String":
        return
    column: list[Token] = []
    for token in [*tokens(str(value.get("value"))), Token("sign", ",", 0, 0, 0)]:
        if token.text == "," and token.depth == 0:
            words = [each.kind for each in column if each.depth == 0 and each.text not in "()"]
            if len(words) > 2 or not set(words) <= {"word", "quoted"}:
                raise _denied("values() with columns that are more than a name and a type")
            column = []
        else:
            column.append(token)


def _described(sql: str) -> str | None:
    """Return the text of a DESCRIBE, EXISTS or SHOW CREATE of one table, made anew from its parts; None for any other statement.

    The engine gives no tree of these.
    """
    found = list(tokens(sql))
    words = [token.keyword for token in found]
    form = found.pop().text if len(found) > 2 and words[-2] == "FORMAT" and found[-1].kind == "word" else ""
    if form:
        found.pop()
    for head, text in (
        (("DESCRIBE", "TABLE"), "DESCRIBE TABLE"), (("DESC", "TABLE"), "DESCRIBE TABLE"), (("DESCRIBE",), "DESCRIBE TABLE"),
        (("DESC",), "DESCRIBE TABLE"), (("EXISTS", "TABLE"), "EXISTS TABLE"), (("EXISTS", "VIEW"), "EXISTS VIEW"),
        (("EXISTS",), "EXISTS TABLE"), (("SHOW", "CREATE", "TABLE"), "SHOW CREATE TABLE"), (("SHOW", "CREATE", "VIEW"), "SHOW CREATE VIEW"),
        (("SHOW", "CREATE"), "SHOW CREATE TABLE"),
    ):  # fmt: skip
        if tuple(words[: len(head)]) == head:
            names = found[len(head) :]
            if len(names) == 1:
                names = [Token("word", DATABASE, 0, 0, 0), Token("sign", ".", 0, 0, 0), *names]
            if len(names) != 3 or names[1].text != "." or not all(_is_plain(names[place]) for place in (0, 2)):
                raise _denied(f"{text} of anything but one table")
            if not Permits.table(names[0].name, names[2].name):
                raise _denied(f"the table {names[0].name}.{names[2].name}")
            return f"{text} `{names[0].name}`.`{names[2].name}`" + (f" FORMAT {form}" if form else "")
    return None


def _is_plain(token: Token) -> bool:
    return token.name.replace("_", "").isalnum() and token.name.isascii()
