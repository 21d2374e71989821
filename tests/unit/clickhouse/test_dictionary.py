"""The data dictionary: what it says of a store, and where it goes in the page."""

from __future__ import annotations

import pytest

from connectors.clickhouse import letters
from infra.clickhouse.dictionary import BEGIN, END, dictionary, page
from infra.clickhouse.generate import specs

TABLES = [*(spec.table for spec in specs()), letters.TABLE]


def answer(sql: str) -> list[tuple[str, ...]]:
    """Answer as a store would that has the tables with one column of their own, and two views, one of them with a parameter."""
    if "system.tables" in sql:
        tables = [(table, "MergeTree", "Rows.", "symbol, event_ts", "toYYYYMM(_timestamp)", "30 days") for table in TABLES[1:]]
        kept = (TABLES[0], "MergeTree", "Rows.", "event_ts", "", "")
        return [kept, *tables, ("v_asked", "View", "A | B.", "", "", ""), ("v_plain", "View", "Plain.", "", "", "")]
    columns = [(table, *column) for table in TABLES for column in (("event_id", "String", "Id."), (f"own_{table}", "Int64", "a|b."))]
    return [*columns, ("v_plain", "sum", "Float64", "Sum, quote currency.")]


def test_what_every_table_has_is_said_once() -> None:
    made = dictionary(answer)
    assert made.count("| `event_id` | `String` | Id. |") == 2  # of the records' tables, and of the dead letters, which have others
    for table in TABLES:
        assert made.count(f"\n### {table}\n") == 1
        assert made.count(f"| `own_{table}` | `Int64` | a\\|b. |") == 1


def test_a_table_says_its_order_partition_and_expiry() -> None:
    text = dictionary(answer)
    assert "MergeTree; order `event_ts`; no partitions; TTL none, rows are kept." in text
    assert text.count("MergeTree; order `symbol, event_ts`; partition `toYYYYMM(_timestamp)`; TTL `30 days`.") == len(TABLES) - 1


def test_a_view_with_a_parameter_has_its_comment_alone() -> None:
    text = dictionary(answer)
    assert "### v_asked\n\nA \\| B.\n\n### v_plain\n\nPlain.\n\n| column | type | meaning |" in text
    assert text.endswith("| `sum` | `Float64` | Sum, quote currency. |\n")


def test_it_goes_between_the_marks() -> None:
    before = f"# Page\n\n{BEGIN}\nold\n{END}\n\nafter\n"
    assert page(before, "new\n") == f"# Page\n\n{BEGIN}\nnew\n{END}\n\nafter\n"
    assert page(page(before, "new\n"), "new\n") == page(before, "new\n")


@pytest.mark.parametrize("text", ["", f"{BEGIN}\n", f"{END}\n"])
def test_a_page_without_marks_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="no place for the dictionary"):
        page(text, "new\n")
