"""The page of documentation on metrics, made from the docstrings of the functions that compute them."""

from __future__ import annotations

from shared import analysis, periods
from shared.analysis.whole import DRAWN
from worker.engine import metrics
from worker.engine.elsewhere import ELSEWHERE, EXAMPLE

_HEAD = """# Metrics

Made from the docstrings in `worker/engine` and `shared/analysis`; a test keeps it so.
To renew it:

    python -c "from worker.engine.metrics_page import write_page as page; print(page(), end='')" > docs/metrics.md
"""

_ANALYSIS = "What `GET /api/algo/backtest/{id}/analysis` answers, computed of a stored result."


def write_page() -> str:
    """The whole page as Markdown: every figure with its formula, unit and source, and how other programs have it."""
    parts = [
        _HEAD,
        _paragraphs(metrics),
        "## Periods",
        _paragraphs(periods.periodic_returns),
        _paragraphs(periods.day_ends),
        "## Elsewhere",
        EXAMPLE,
    ]
    for name, definition in metrics.DEFINITIONS.items():
        text = definition.replace("None", "`null`") if isinstance(definition, str) else _paragraphs(definition)
        parts += [f"## `{name}`", text]
        if name in ELSEWHERE:
            parts.append("\n".join(one.sentence() for one in ELSEWHERE[name]))
    parts += ["## Analysis", _ANALYSIS, _paragraphs(analysis)]
    for name, definition in DRAWN.items():
        parts += [f"### `{name}`", _paragraphs(definition)]
    return "\n\n".join(part.strip() for part in parts) + "\n"


def _paragraphs(documented: object) -> str:
    lines = (documented.__doc__ or "").splitlines()
    return "\n".join(line.strip() for line in lines).replace("None", "`null`")
