"""What an analyst's statement may use: functions, table functions, tables and settings. What is not named here is refused."""

from __future__ import annotations

import os
from dataclasses import dataclass

from connectors.clickhouse.server.engine import DATABASE, Budget, Handle
from connectors.clickhouse.server.errors import ClickHouseError, Code

_PURE_CATEGORIES = frozenset(
    {
        "Arithmetic", "Arrays", "Bit", "Bitmap", "Comparison", "Conditional", "Dates and Times", "Distance", "Encoding",
        "Financial", "Geo", "Geo Polygon", "Hash", "IP Address", "JSON", "Logical", "Map", "Mathematical", "Null", "Random Number",
        "Rounding", "String", "String Replacement", "String Search", "String Splitting", "Time Series", "Time Window", "Tuple",
        "Type Conversion", "URL", "UUID",
    }
)  # fmt: skip
"""Categories of functions that compute from their arguments alone."""
_PURE_OTHERS = frozenset(
    {
        "bar", "blockNumber", "blockSize", "byteSize", "countDigits", "currentDatabase", "currentUser",
        "defaultValueOfArgumentType", "defaultValueOfTypeName", "dumpColumnStructure", "errorCodeToName", "finalizeAggregation",
        "formatQuery", "formatQuerySingleLine", "formatReadableDecimalSize", "formatReadableQuantity", "formatReadableSize",
        "formatReadableTimeDelta", "getSetting", "getSizeOfEnumType", "getSubcolumn", "identity", "ignore", "initializeAggregation",
        "isConstant", "isDecimalOverflow", "lowCardinalityIndices", "lowCardinalityKeys", "materialize", "neighbor",
        "normalizeQuery", "normalizedQueryHash", "parseReadableSize", "parseReadableSizeOrNull", "parseReadableSizeOrZero",
        "parseTimeDelta", "rowNumberInAllBlocks", "rowNumberInBlock", "runningAccumulate", "runningDifference",
        "runningDifferenceStartingWithFirstValue", "throwIf", "toColumnTypeName", "toTypeName", "revision", "transform", "uptime",
        "variantElement", "variantType", "version", "visibleWidth",
    }
)  # fmt: skip
"""Of the functions that the engine puts into no such category, those that are harmless."""
_SYNTAX = frozenset({"lambda", "exists", "grouping", "casewithexpression", "casewithoutexpression"})
"""What the parser writes as functions."""
TABLE_FUNCTIONS = frozenset(
    {"numbers", "numbers_mt", "zeros", "zeros_mt", "generateseries", "generate_series", "primes", "view", "values", "sqlstandardvalues"}
)
SYSTEM_TABLES = frozenset(
    {
        "one", "numbers", "numbers_mt", "zeros", "zeros_mt", "tables", "columns", "databases", "functions", "table_functions",
        "formats", "data_type_families", "settings", "time_zones", "aggregate_function_combinators", "keywords",
    }
)  # fmt: skip
"""Not among them: what tells of other people's statements, of the machine or of its configuration."""
INFORMATION_SCHEMAS = frozenset({"information_schema", "INFORMATION_SCHEMA"})
_SETTINGS = frozenset(
    {
        "max_block_size", "max_query_size", "max_rows_to_read", "max_bytes_to_read", "max_rows_to_group_by", "max_rows_to_sort",
        "max_rows_in_join", "read_overflow_mode", "group_by_overflow_mode", "limit", "offset", "extremes", "session_timezone",
        "final", "seed", "join_algorithm", "join_use_nulls", "join_default_strictness", "any_join_distinct_right_table_keys",
        "union_default_mode", "except_default_mode", "intersect_default_mode", "group_by_use_nulls",
        "aggregate_functions_null_for_empty", "transform_null_in", "cast_keep_nullable", "cast_string_to_dynamic_use_inference",
        "cast_string_to_variant_use_inference", "prefer_column_name_to_alias", "enable_positional_arguments",
        "optimize_read_in_order", "optimize_move_to_prewhere", "enable_optimize_predicate_expression",
        "max_bytes_before_external_group_by", "max_bytes_before_external_sort", "do_not_merge_across_partitions_select_final",
        "use_skip_indexes", "force_primary_key", "force_index_by_date", "date_time_output_format", "date_time_input_format",
        "format_csv_delimiter", "format_csv_null_representation", "format_tsv_null_representation", "http_wait_end_of_query",
        "wait_end_of_query", "send_progress_in_http_headers", "http_headers_progress_interval_ms",
        "cancel_http_readonly_queries_on_client_close", "log_queries", "count_distinct_implementation",
        "short_circuit_function_evaluation", "low_cardinality_allow_in_native_format",
    }
)  # fmt: skip
_SETTING_FAMILIES = tuple(
    f"output_format_{family}_"
    for family in ("json", "csv", "tsv", "pretty", "arrow", "parquet", "native", "values", "markdown", "decimal", "msgpack")
)
_EXPLAIN_SETTINGS = frozenset(
    {
        "header", "description", "indexes", "projections", "actions", "json", "sorting", "distributed", "graph", "compact",
        "oneline", "run_passes", "dump_passes", "passes", "dump_tree", "dump_ast", "optimize", "query_tree_passes",
        "keep_logical_steps", "pretty",
    }
)  # fmt: skip


_LONGEST_NAME = 64


@dataclass(frozen=True, slots=True)
class Permits:
    """What analysts may use, as this engine knows it.

    Attributes
    ----------
    functions
        Functions they may call, in lower case.
    refused
        Functions they may not call, in lower case.
    combinators
        Suffixes that make another aggregate function of one.
    limits
        Settings with the greatest value that they may take.
    """

    functions: frozenset[str]
    refused: frozenset[str]
    combinators: tuple[str, ...]
    limits: dict[str, float]

    @classmethod
    def of(cls, handle: Handle, budget: Budget) -> Permits:
        """Ask the engine for its functions."""
        body = handle.run("SELECT name, alias_to, is_aggregate, categories, origin FROM system.functions FORMAT TSVRaw").body.decode()
        rows = {name: rest for name, *rest in (line.split("\t") for line in body.splitlines())}
        allowed, refused = set[str](), set[str]()
        for name, (alias, aggregate, _, origin) in rows.items():
            original = alias or name
            categories = set(rows[original][2].split(",")) if original in rows else set()
            pure = aggregate == "1" or original in _PURE_OTHERS or not categories.isdisjoint(_PURE_CATEGORIES)
            (allowed if pure and origin == "System" else refused).add(name.lower())
        refused -= _SYNTAX
        combinators = handle.run("SELECT name FROM system.aggregate_function_combinators FORMAT TSVRaw").body.decode().split()
        limits = {
            "max_execution_time": float(budget.analyst_seconds),
            "max_memory_usage": float(budget.analyst_memory_bytes),
            "max_threads": float(os.cpu_count() or 1),
            "max_result_rows": float("inf"),
            "max_result_bytes": float(budget.result_bytes),
        }
        return cls(frozenset(allowed | _SYNTAX) - refused, frozenset(refused), tuple(name.lower() for name in combinators), limits)

    def function(self, name: str) -> bool:
        """Whether analysts may call a function."""
        lowered = name.lower()
        if lowered in self.functions or lowered in self.refused or len(lowered) > _LONGEST_NAME:
            return lowered in self.functions
        stems = (lowered.removesuffix(suffix) for suffix in self.combinators if lowered.endswith(suffix))
        return any(stem != "" and self.function(stem) for stem in stems)

    def setting(self, name: str, value: object) -> None:
        """Refuse a setting that analysts may not change, or not so far.

        Raises
        ------
        ClickHouseError
            READONLY, or SETTING_CONSTRAINT_VIOLATION where its value is beyond the limit.
        """
        limit = self.limits.get(name)
        if limit is None:
            if name not in _SETTINGS and not name.startswith(_SETTING_FAMILIES):
                raise ClickHouseError(Code.READONLY, f"Cannot modify '{name}' setting in readonly mode")
            return
        try:
            number = float(str(value))
        except ValueError:
            number = -1.0
        if not 0 < number <= limit:
            raise ClickHouseError(Code.SETTING_CONSTRAINT_VIOLATION, f"Setting {name} should be above 0 and not greater than {limit:.0f}")

    @staticmethod
    def explain_setting(name: str) -> bool:
        """Whether an option of EXPLAIN is one that only shapes its answer."""
        return name in _EXPLAIN_SETTINGS

    @staticmethod
    def table(database: str, name: str) -> bool:
        """Whether analysts may read a table; an unqualified one is a table of the platform's database or of the statement itself."""
        return database in ("", DATABASE) or database in INFORMATION_SCHEMAS or (database == "system" and name in SYSTEM_TABLES)
