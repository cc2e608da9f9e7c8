"""Common work, put into words for a model that has these tools."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from mcp_types import Prompt, PromptArgument

_TEXT_MAX = 2_000


@dataclass(frozen=True, slots=True)
class Work:
    """One prompt: how it is listed, and what it says with its arguments filled in."""

    listed: Prompt
    say: Callable[[Mapping[str, str]], str]


def _research(given: Mapping[str, str]) -> str:
    symbol, idea = given["symbol"], given.get("idea", "")
    about = f" The idea to test: {idea}" if idea else ""
    return (
        f"Research a trading strategy on {symbol}.{about}\n\n"
        "1. `list_market_data`: which bars of it there are, and from when to when.\n"
        "2. `list_strategies`: what can be run; the strategy `rule` takes conditions written as text.\n"
        "3. Keep the last third of the dates for the end: look at it once, with what you chose before.\n"
        "4. `validate_strategy`, then `run_backtest` with `wait_seconds`, for at most ten settings; say each time what "
        "you expect before you look.\n"
        "5. `compare_backtests` also with `buy_and_hold`, and `get_equity` of the best: look at the picture.\n"
        "6. Run the chosen settings once on the dates you kept, and report what they did there. Of many settings one "
        "always looks good: say how many you tried."
    )


def _drawdown(given: Mapping[str, str]) -> str:
    backtest_id = given["backtest_id"]
    return (
        f"Explain the largest drawdown of the backtest {backtest_id}.\n\n"
        f"1. `get_equity` of {backtest_id} with its picture: when it began, when it was deepest, if it was made up.\n"
        "2. `get_trades`: those that were closed in that time, which of them lost most, and whether their exits were "
        "stops, signals or the end.\n"
        "3. `explain_trade` of the two or three worst: what the bars looked like around entry and exit.\n"
        "4. `get_metrics`: exposure, longest run of losses, and buyAndHoldReturn beside totalReturn.\n"
        "5. Say in a few sentences what happened, whether the strategy did what it is meant to do, and one change that "
        "is worth a backtest, with what it would cost elsewhere."
    )


PROMPTS: dict[str, Work] = {
    "research_strategy": Work(
        Prompt(
            name="research_strategy",
            title="Research a strategy",
            description="Try a few settings on a symbol, keep some dates for the end, and report honestly.",
            arguments=[
                PromptArgument(name="symbol", description="Which market.", required=True),
                PromptArgument(name="idea", description="What to test, in words.", required=False),
            ],
        ),
        _research,
    ),
    "explain_drawdown": Work(
        Prompt(
            name="explain_drawdown",
            title="Explain this drawdown",
            description="Why a backtest lost most where it did.",
            arguments=[PromptArgument(name="backtest_id", description="Which backtest.", required=True)],
        ),
        _drawdown,
    ),
}


def say(work: Work, given: Mapping[str, str]) -> str:
    """What a prompt says. Raises `ValueError` naming an argument that is missing, unknown or too long."""
    listed = {one.name: bool(one.required) for one in work.listed.arguments or []}
    missing = [name for name, required in listed.items() if required and not given.get(name)]
    unknown = [name for name in given if name not in listed]
    if missing or unknown:
        wrong = f"{missing[0]} is missing" if missing else f"{unknown[0][:64]!a} is none of its arguments"
        raise ValueError(f"{wrong}; they are {', '.join(listed)}")
    long = [name for name, text in given.items() if len(text) > _TEXT_MAX]
    if long:
        raise ValueError(f"{long[0]} is longer than {_TEXT_MAX} characters")
    return work.say(given)
