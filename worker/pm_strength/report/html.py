"""An evaluation as one HTML file: verdicts first, then figures and plots."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from html import escape
from pathlib import Path
from typing import Any

from ..errors import FileError
from ..evaluation.evaluate import LEVEL, Evaluation, Result
from ..runtime.resolution import shown_evidence
from . import charts

STYLE = """
body { font: 15px/1.5 system-ui, sans-serif; color: #222; }
body { max-width: 60rem; margin: 2rem auto; padding: 0 1rem; }
h1 { font-size: 1.5rem; } h2 { font-size: 1.15rem; margin-top: 2rem; }
table { border-collapse: collapse; margin: .6rem 0; } th, td { padding: .25rem .7rem; text-align: right; }
th:first-child, td:first-child { text-align: left; } tr { border-bottom: 1px solid #e5e5e5; }
.verdict { border-left: 5px solid #9a9a9a; padding: .4rem .9rem; margin: .6rem 0; background: #f7f7f7; }
.pays { border-color: #3d8b3d; } .does-not-pay { border-color: #b03a2e; }
.note { color: #666; font-size: .9rem; } svg { max-width: 100%; height: auto; }
"""


def check_report_path(path: Path) -> None:
    """Raise `FileError` if a report cannot be drawn or written there: better known before than after."""
    if not path.parent.is_dir():
        raise FileError(f"{path}: there is no folder {path.parent}")
    charts.plotting()


def write_report(evaluation: Evaluation, path: Path) -> None:
    """Write the report; an existing file is replaced when the new one is complete. Raises `FileError`."""
    part = path.with_name(path.name + ".part")
    try:
        part.write_text(report_html(evaluation), encoding="utf-8")
        part.replace(path)
    except OSError as error:
        raise FileError(f"{path}: {error.strerror or error}") from None
    finally:
        part.unlink(missing_ok=True)


def report_html(evaluation: Evaluation) -> str:
    """The report as one HTML text that loads nothing."""
    unit = evaluation.outcome
    first, last = evaluation.steps[0]["begins"][:10], evaluation.steps[-1]["begins"][:10]
    parts = [
        "<h1>Does it pay?</h1>",
        f"<p>{evaluation.actions:,} entries and adds of {evaluation.trades:,} trades, sized in "
        f"{len(evaluation.steps)} steps (the first from {first}, the last from {last}), each by what had "
        f"closed before it. Outcome: {escape(unit)}. Nothing was learned from a trade before it closed.</p>",
        *(_verdict(result) for result in evaluation.results),
        "<h2>Worth</h2>",
        "<p class=note>Uplift: what an action earns more because of its size, at equal exposure, within "
        f"entries and within adds. The interval holds with {evaluation.level:.1%} ({LEVEL:.0%} "
        f"for {evaluation.settings_tried} together), from {evaluation.blocks} blocks of "
        f"{evaluation.block_days:.1f} days. Shuffled: the same sizes given to other actions of the same "
        "step: that much is chance. Within the day: given to others of the same pattern and day: what is "
        "left there is timing, the rest is skill in context.</p>",
        _table(
            ("", "uplift", "from", "to", "shuffled, 95 %", "within the day", "entries", "adds"),
            (_worth(result) for result in evaluation.results),
        ),
        charts.uplifts(evaluation),
        "<h2>Profit at equal exposure</h2>",
        charts.curves(evaluation),
        _table(
            ("", "total", "largest fall", "SQN"),
            [
                _curve("sizes unchanged", evaluation.plain),
                *(_curve(result.name, result.curve) for result in evaluation.results),
            ],
        ),
        "<h2>Sizes</h2>",
        _table(
            ("", "mean", "mean of |m - 1|", "deviation", "change a step", "overrides"),
            (_sizes(result) for result in evaluation.results),
        ),
        "<h2>Uplift by step</h2>",
        charts.steps(evaluation),
        "<h2>Calibration</h2>",
        "<p class=note>Actions in classes by multiplier: where sizes are right, larger ones do better. The "
        "bars hold with 90 %.</p>",
        charts.calibration(evaluation),
        *_pairs(evaluation),
        "<h2>What moves sizes most, in the last step</h2>",
        *(_overrides(result) for result in evaluation.results),
    ]
    if evaluation.without_time:
        parts.append(
            f"<p class=note>{evaluation.without_time:,} actions are left out: when they were taken is not "
            "known, or lies after the close.</p>"
        )
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8"><title>Does it pay?</title>'
        f"<style>{STYLE}</style></head>\n<body>\n" + "\n".join(parts) + "\n</body></html>\n"
    )


def _verdict(result: Result) -> str:
    kind = result.verdict.replace(" ", "-")
    return (
        f'<div class="verdict {kind}"><b>{escape(result.name)}: {escape(result.verdict)}</b><br>'
        f"{escape(result.why)}</div>"
    )


def _worth(result: Result) -> Sequence[str]:
    numbers = (result.uplift, result.low, result.high, result.shuffled.high, result.shuffled_within_day.mean)
    by = (result.by_category.get(name) for name in ("entry", "add"))
    return (result.name, *map(_signed, numbers), *("" if gain is None else _signed(gain) for gain in by))


def _curve(name: str, curve: Any) -> Sequence[str]:
    return name, f"{curve.total:+,.1f}", f"{curve.drawdown:,.1f}", f"{curve.sqn:+.2f}"


def _sizes(result: Result) -> Sequence[str]:
    change = "" if result.turnover is None else f"{result.turnover:.3f}"
    numbers = (result.mean, result.spread, result.deviation)
    return (result.name, *(f"{number:.3f}" for number in numbers), change, f"{result.override_count:,}")


def _pairs(evaluation: Evaluation) -> list[str]:
    if not evaluation.differences:
        return []
    rows = (
        (
            f"{pair['candidate']} against {pair['against']}",
            *(_signed(pair[name]) for name in ("difference", "low", "high")),
        )
        for pair in evaluation.differences
    )
    return ["<h2>One against the other</h2>", _table(("", "difference", "from", "to"), rows)]


def _overrides(result: Result) -> str:
    rows = []
    for row in result.overrides:
        stats = row.get("stats") or {}
        evidence, effective = stats.get("evidence"), stats.get("n_effective")
        scope = (
            ", ".join(f"{name}={value}" for name, value in sorted(row["scope_subset"].items())) or "always"
        )
        rows.append(
            (
                f"{row['action_category']} {row['pattern_key']}: {scope}",
                _signed(row["multiplier"] - 1),
                "" if evidence is None else shown_evidence(evidence),
                "" if effective is None else f"{effective:,.0f}",
            )
        )
    if not rows:
        return f"<p><b>{escape(result.name)}</b>: no override of an entry or an add.</p>"
    heads = ("", "adds to the size", "evidence", "counts as trades")
    return f"<p><b>{escape(result.name)}</b></p>" + _table(heads, rows)


def _table(heads: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    head = "".join(f"<th>{escape(text)}</th>" for text in heads)
    body = "".join("<tr>" + "".join(f"<td>{escape(cell)}</td>" for cell in row) + "</tr>" for row in rows)
    return f"<table><tr>{head}</tr>{body}</table>"


def _signed(number: float) -> str:
    return f"{number:+.4f}"
