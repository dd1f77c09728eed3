"""The plots of a report, as SVG texts."""

from __future__ import annotations

import io
import re
from typing import TYPE_CHECKING, Any

from ..errors import FileError

if TYPE_CHECKING:
    from ..evaluation.evaluate import Evaluation

COLOURS = ("#1f6f8b", "#d1782c", "#4c8c4a", "#8a4f9e", "#a33b3b", "#6b6b6b")
PLAIN = "#9a9a9a"


def colour(number: int) -> str:
    """The colour of a candidate in every plot."""
    return COLOURS[number % len(COLOURS)]


def plotting() -> Any:
    """The module that draws; raises `FileError` where it is not installed."""
    try:
        import matplotlib
    except ModuleNotFoundError:
        raise FileError("The HTML report needs matplotlib: install 'pm-strength[worker,evaluate]'.") from None
    matplotlib.use("svg")
    # text stays text, and the same report gives the same file
    matplotlib.rcParams.update({"svg.fonttype": "none", "svg.hashsalt": "pm-strength", "font.size": 10})
    from matplotlib import pyplot

    return pyplot


def curves(evaluation: Evaluation) -> str:
    """The running profit at equal exposure, of each candidate and of sizes left alone."""
    pyplot = plotting()
    figure, axes = pyplot.subplots(figsize=(8.6, 3.4))
    axes.plot(evaluation.plain.points, color=PLAIN, linewidth=2, label="sizes unchanged")
    for number, result in enumerate(evaluation.results):
        axes.plot(result.curve.points, color=colour(number), label=result.name)
    axes.set_xlabel("share of the actions, by close (%)")
    axes.set_ylabel(f"running {evaluation.outcome}")
    axes.legend(frameon=False)
    return _svg(pyplot, figure, axes)


def uplifts(evaluation: Evaluation) -> str:
    """Each uplift with its interval, over what shuffled sizes do."""
    pyplot = plotting()
    figure, axes = pyplot.subplots(figsize=(8.6, 0.9 + 0.55 * len(evaluation.results)))
    for number, result in enumerate(evaluation.results):
        axes.barh(
            number,
            result.shuffled.high - result.shuffled.low,
            left=result.shuffled.low,
            height=0.5,
            color="#e4e4e4",
            label="shuffled sizes, 90 %" if number == 0 else None,
        )
        axes.plot([result.low, result.high], [number, number], color=colour(number), linewidth=3)
        axes.plot([result.uplift], [number], "o", color=colour(number))
    axes.axvline(0, color="#444444", linewidth=1)
    axes.set_yticks(range(len(evaluation.results)), [result.name for result in evaluation.results])
    axes.invert_yaxis()
    axes.set_xlabel(f"uplift in {evaluation.outcome} an action, at equal exposure")
    axes.legend(frameon=False, loc="best")
    return _svg(pyplot, figure, axes)


def steps(evaluation: Evaluation) -> str:
    """The uplift of each step."""
    pyplot = plotting()
    figure, axes = pyplot.subplots(figsize=(8.6, 3.0))
    width = 0.8 / max(1, len(evaluation.results))
    for number, result in enumerate(evaluation.results):
        places = [at + number * width - 0.4 + width / 2 for at in range(len(result.by_step))]
        axes.bar(places, result.by_step, width, color=colour(number), label=result.name)
    axes.axhline(0, color="#444444", linewidth=1)
    begins = [step["begins"][:10] for step in evaluation.steps]
    shown = range(0, len(begins), max(1, len(begins) // 8))
    axes.set_xticks(list(shown), [begins[at] for at in shown])
    axes.set_ylabel(f"uplift ({evaluation.outcome})")
    axes.legend(frameon=False)
    return _svg(pyplot, figure, axes)


def calibration(evaluation: Evaluation) -> str:
    """The mean outcome of actions by their multiplier."""
    pyplot = plotting()
    figure, axes = pyplot.subplots(figsize=(8.6, 3.4))
    for number, result in enumerate(evaluation.results):
        bins = result.calibration
        centres = [part.multiplier for part in bins]
        values = [part.outcome for part in bins]
        errors = [[part.outcome - part.low for part in bins], [part.high - part.outcome for part in bins]]
        axes.errorbar(
            centres,
            values,
            yerr=errors,
            fmt="o-",
            color=colour(number),
            label=result.name,
            capsize=3,
            linewidth=1,
        )
    axes.axhline(0, color="#444444", linewidth=1)
    axes.axvline(1, color="#444444", linewidth=1, linestyle=":")
    axes.set_xlabel("multiplier")
    axes.set_ylabel("mean outcome (deviations of its category)")
    axes.legend(frameon=False)
    return _svg(pyplot, figure, axes)


def _svg(pyplot: Any, figure: Any, axes: Any) -> str:
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)
    figure.tight_layout()
    text = io.StringIO()
    figure.savefig(text, format="svg", metadata={"Date": None})
    pyplot.close(figure)
    drawn = text.getvalue()
    # what is left of the file names the format alone
    return re.sub(r"<metadata>.*?</metadata>", "", drawn[drawn.index("<svg") :], flags=re.DOTALL)
