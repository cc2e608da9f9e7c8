"""The page of documentation on metrics, made from the docstrings of the functions that compute them."""

from __future__ import annotations

from worker.engine import metrics, periods

_HEAD = """# Metrics

Made from the docstrings in `worker/engine`; a test keeps it so.
To renew it:

    python -c "from worker.engine.metrics_page import write_page as page; print(page(), end='')" > docs/metrics.md
"""


def write_page() -> str:
    """The whole page as Markdown: every figure with its formula, its unit and its source."""
    parts = [
        _HEAD,
        _paragraphs(metrics),
        "## Periods",
        _paragraphs(periods.periodic_returns),
        _paragraphs(periods.day_ends),
    ]
    for name, definition in metrics.DEFINITIONS.items():
        text = definition.replace("None", "`null`") if isinstance(definition, str) else _paragraphs(definition)
        parts += [f"## `{name}`", text]
    return "\n\n".join(part.strip() for part in parts) + "\n"


def _paragraphs(documented: object) -> str:
    lines = (documented.__doc__ or "").splitlines()
    return "\n".join(line.strip() for line in lines).replace("None", "`null`")
