"""``docs/metrics.md`` names every metric of the code; ``python -m tests.unit.test_metrics_page`` writes its table anew."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from prometheus_client import CollectorRegistry
from prometheus_client.metrics import MetricWrapperBase

from processors.runtime.epochs.metrics import Metrics

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "metrics.md"
PACKAGES = ("connectors", "infra", "ml", "processors", "quantum", "schemas")
KINDS = {"Counter": "counter", "Gauge": "gauge", "Histogram": "histogram", "Summary": "summary"}
HEAD = "| metric | type | labels | what it says | from |\n|---|---|---|---|---|\n"
FOOT = "\n## "


@dataclass(frozen=True, order=True)
class Metric:
    """A metric as the code declares it; a counter's name with its ``_total``."""

    name: str
    kind: str
    labels: tuple[str, ...]
    text: str
    module: str

    def row(self) -> str:
        """Return its row of the table."""
        labels = ", ".join(f"`{label}`" for label in self.labels)
        return f"| `{self.name}` | {self.kind} | {labels} | {self.text} | `{self.module}` |\n"


def _names(call: ast.Call) -> tuple[str, ...]:
    given = [each for each in call.args[2:3] if isinstance(each, ast.List | ast.Tuple)]
    return tuple(str(ast.literal_eval(each)) for each in given[0].elts) if given else ()


def declared() -> Iterator[Metric]:
    """Yield the metrics that modules of the product declare."""
    for package in PACKAGES:
        for path in sorted((ROOT / package).rglob("*.py")):
            tree = ast.parse(path.read_text())
            imported = {
                alias.asname or alias.name
                for node in ast.walk(tree)
                if isinstance(node, ast.ImportFrom) and node.module == "prometheus_client"
                for alias in node.names
            }
            for node in ast.walk(tree):
                if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in imported & KINDS.keys():
                    kind = KINDS[node.func.id]
                    name = str(ast.literal_eval(node.args[0])) + ("_total" if kind == "counter" else "")
                    yield Metric(name, kind, _names(node), str(ast.literal_eval(node.args[1])), str(path.relative_to(ROOT)))


def table() -> str:
    """Return the table of the page."""
    return HEAD + "".join(metric.row() for metric in sorted(declared()))


def test_the_page_names_every_metric() -> None:
    page = PAGE.read_text()
    assert table() in page, "run: python -m tests.unit.test_metrics_page"
    assert page.split(table())[1].startswith(FOOT)


def test_names_are_unique_and_help_texts_are_sentences() -> None:
    metrics = list(declared())
    assert len({metric.name for metric in metrics}) == len(metrics)
    assert [metric for metric in metrics if not (metric.name.startswith("quantum_") and metric.text.endswith("."))] == []


def test_the_runtimes_metrics_are_what_the_page_says() -> None:
    made = Metrics(CollectorRegistry())
    described = {}
    for value in vars(made).values():
        assert isinstance(value, MetricWrapperBase)
        (family,) = value.describe()
        described[family.name + ("_total" if family.type == "counter" else "")] = (family.type, family.documentation)
    page = {metric.name: (metric.kind, metric.text) for metric in declared() if metric.module == "processors/runtime/epochs/metrics.py"}
    assert described == page


@pytest.mark.parametrize("name", ["dashboards", "rules"])
def test_what_is_drawn_and_alarmed_is_on_the_page(name: str) -> None:
    folder = ROOT / "infra"
    paths = [folder / "prometheus" / "rules.yml"] if name == "rules" else sorted((folder / "grafana" / "dashboards").glob("*.json"))
    suffixes = {"counter": ("",), "gauge": ("",), "histogram": ("_bucket", "_sum", "_count"), "summary": ("_sum", "_count")}
    known = {metric.name + suffix for metric in declared() for suffix in suffixes[metric.kind]}
    text = "".join(path.read_text() for path in paths)
    used = {
        word for word in "".join(each if each.isalnum() or each in "_:" else " " for each in text).split() if word.startswith("quantum_")
    }
    recorded = {line.split("record:")[1].strip() for line in text.splitlines() if "record:" in line}
    assert used - known - recorded == set()
    assert used


if __name__ == "__main__":
    before, _, rest = PAGE.read_text().partition(HEAD)
    _, foot, after = rest.partition(FOOT)
    PAGE.write_text(before + table() + foot + after)
