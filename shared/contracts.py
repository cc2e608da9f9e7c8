"""Every message on Redis and Socket.IO, and the body of a backtest request.

Names on the wire are camelCase, names in Python snake_case. Unknown extra fields are ignored; a required field that is
missing or malformed is refused with its path. Times are ISO-8601 UTC with `Z`; `progress` is 0–100; `totalReturn`,
`maxDrawdown` and `winRate` are percent; a value that is infinite or undefined is `null`.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from datetime import UTC, date, datetime
from enum import StrEnum
from itertools import islice
from typing import Annotated, Any, Literal, Self, TypeVar, cast

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    JsonValue,
    PlainSerializer,
    ValidationError,
    model_validator,
)
from pydantic.alias_generators import to_camel
from pydantic_core import ErrorDetails

from shared.errors import ERRORS_MAX, FieldError, InvalidRequest, MalformedMessage
from shared.profiles import Profile, unfit


class Channel(StrEnum):
    """Redis channels. The first four are fixed: other programs already speak them."""

    TASK = "backtest:task"
    PROGRESS = "backtest:progress"
    COMPLETE = "backtest:complete"
    ERROR = "backtest:error"
    CONTROL = "backtest:control"
    EVENT = "backtest:event"


NEWS_CHANNELS = (Channel.PROGRESS, Channel.COMPLETE, Channel.ERROR, Channel.EVENT)
TERMINAL_CHANNELS = (Channel.COMPLETE, Channel.ERROR)

INTERVAL_MS: dict[str, int] = {
    "1m": 60_000,
    "3m": 180_000,
    "5m": 300_000,
    "15m": 900_000,
    "30m": 1_800_000,
    "1h": 3_600_000,
    "2h": 7_200_000,
    "4h": 14_400_000,
    "6h": 21_600_000,
    "8h": 28_800_000,
    "12h": 43_200_000,
    "1d": 86_400_000,
    "1w": 604_800_000,
}
SYMBOL_PATTERN = r"^[A-Za-z0-9][A-Za-z0-9._/:-]{0,39}$"
ID_PATTERN = r"^[A-Za-z0-9][A-Za-z0-9._:-]{0,127}$"
USER_PATTERN = r"^[^\x00-\x1f\x7f]{1,256}$"


def _read_instant(value: object) -> datetime:
    """A date (its midnight in UTC) or an instant with a zone. A number is refused: its unit is a guess."""
    if isinstance(value, datetime):
        if value.tzinfo is None:
            raise ValueError("has no time zone; add Z for UTC")
        return value.astimezone(UTC)
    if not isinstance(value, str):
        raise ValueError('must be text: a date such as "2024-01-31" or an instant such as "2024-01-31T12:00:00Z"')
    try:
        if re.fullmatch(r"\d{4}-\d{2}-\d{2}", value):
            day = date.fromisoformat(value)
            return datetime(day.year, day.month, day.day, tzinfo=UTC)
        instant = datetime.fromisoformat(value)
    except ValueError:
        raise ValueError('is not a date such as "2024-01-31" or an instant such as "2024-01-31T12:00:00Z"') from None
    if instant.tzinfo is None:
        raise ValueError("has no time zone; add Z for UTC")
    try:
        return instant.astimezone(UTC)
    except OverflowError:
        raise ValueError("is outside the years 1 to 9999") from None


def _write_instant(value: datetime) -> str:
    if (value.hour, value.minute, value.second, value.microsecond) == (0, 0, 0, 0):
        return value.date().isoformat()
    return iso(value)


def iso(value: datetime) -> str:
    """ISO-8601 UTC with `Z`, milliseconds only where there are any."""
    text = value.astimezone(UTC).isoformat(timespec="milliseconds" if value.microsecond else "seconds")
    return text.replace("+00:00", "Z")


def iso_from_ms(ms: int) -> str:
    return iso(datetime.fromtimestamp(ms / 1000, UTC))


def to_ms(value: datetime) -> int:
    """Milliseconds since 1970-01-01T00:00Z, exactly."""
    delta = value - datetime(1970, 1, 1, tzinfo=UTC)
    return (delta.days * 86_400 + delta.seconds) * 1000 + delta.microseconds // 1000


def read_instant_ms(field: str, text: str) -> int:
    """A date or an instant as text, in ms since 1970. Raises `InvalidRequest` for `field`."""
    try:
        return to_ms(_read_instant(text))
    except ValueError as error:
        raise InvalidRequest.of(field, f"{text!r} {error}") from None


def _no_nul(value: str) -> str:
    if "\x00" in value:
        raise ValueError("must not contain NUL characters")
    return value


_DEPTH_MAX = 8
_KEY_CHARACTERS_MAX = 64


def _storable(value: JsonValue, depth: int = 0) -> JsonValue:
    """JSON allows numbers and text that no store and no other language can hold; those are refused here."""
    if depth > _DEPTH_MAX:
        raise ValueError(f"is nested deeper than {_DEPTH_MAX} levels")
    if isinstance(value, str):
        if "\x00" in value or (not value.isascii() and value != value.encode(errors="replace").decode()):
            raise ValueError("must not contain NUL or unpaired surrogate characters")
    elif isinstance(value, int) and not -(2**63) <= value < 2**63:
        raise ValueError("holds a whole number of more than 64 bits")
    elif isinstance(value, list):
        for item in value:
            _storable(item, depth + 1)
    elif isinstance(value, dict):
        for key, item in value.items():
            if len(key) > _KEY_CHARACTERS_MAX or not key.isprintable() or key.startswith("$") or "." in key:
                raise ValueError(f"has a name that is not allowed: {key[:_KEY_CHARACTERS_MAX]!a}")
            _storable(item, depth + 1)
    return value


Instant = Annotated[
    datetime,
    BeforeValidator(_read_instant, json_schema_input_type=str),
    PlainSerializer(_write_instant, return_type=str),
]
Symbol = Annotated[str, Field(pattern=SYMBOL_PATTERN, description="Letters, digits and . _ / : -, at most 40.")]
BacktestId = Annotated[str, Field(pattern=ID_PATTERN)]
UserId = Annotated[str, Field(pattern=USER_PATTERN)]
Text = Annotated[str, AfterValidator(_no_nul)]
Interval = Literal["1m", "3m", "5m", "15m", "30m", "1h", "2h", "4h", "6h", "8h", "12h", "1d", "1w"]


class Wire(BaseModel):
    """Base of everything that crosses a wire."""

    model_config = ConfigDict(
        alias_generator=to_camel, populate_by_name=True, extra="ignore", frozen=True, allow_inf_nan=False, strict=True
    )

    def as_wire(self) -> dict[str, Any]:
        """JSON-ready, camelCase, without the optional fields that are not set."""
        return self.model_dump(mode="json", by_alias=True, exclude_none=True)

    def as_json(self) -> str:
        return self.model_dump_json(by_alias=True, exclude_none=True)


FillAt = Literal["open", "close"]
Intrabar = Literal["stop_first", "target_first", "ohlc_path"]
SizingMode = Literal["equity_fraction", "fixed_quantity", "fixed_notional", "risk_fraction"]


class Commission(Wire):
    """Per side: value x rate + fixed, and never less than the minimum."""

    rate: float = Field(default=0.0, ge=0, le=0.2, description="Share of the traded value: 0.001 is 0.1 %.")
    fixed: float = Field(default=0.0, ge=0, le=1e9, description="Added to every fill, in money.")
    minimum: float = Field(default=0.0, ge=0, le=1e9, description="Least fee of a fill, in money.")


class Level(Wire):
    """How far a stop or a target stands from the price; exactly one of three."""

    percent: float | None = Field(default=None, gt=0, lt=100, description="Percent of the price: 2 is 2 %.")
    distance: float | None = Field(default=None, gt=0, le=1e15, description="In units of the price.")
    atr: float | None = Field(
        default=None, gt=0, le=1_000, description="Average true ranges (atrPeriod) when the order was decided."
    )

    @model_validator(mode="after")
    def _is_exactly_one(self) -> Self:
        if sum(size is not None for size in (self.percent, self.distance, self.atr)) != 1:
            raise ValueError('must have exactly one of percent, distance, atr: {"percent": 2} is 2 % of the price')
        return self


class Sizing(Wire):
    """How large a trade is, where it is not a share of equity."""

    mode: SizingMode = Field(
        description="fixed_quantity: units; fixed_notional: money; risk_fraction: share of equity lost at the stop."
    )
    value: float = Field(gt=0, le=1e15, description="In the unit of the mode.")

    @model_validator(mode="after")
    def _is_a_share(self) -> Self:
        if self.mode == "equity_fraction":
            raise ValueError("mode equity_fraction is what positionSizePercent is for; set that and leave sizing out")
        if self.mode == "risk_fraction" and self.value > 1:
            raise ValueError(
                f"value must be at most 1 for risk_fraction: 0.01 risks 1 % of equity (got {self.value:g})"
            )
        return self


class BacktestParams(Wire):
    """What to run: `params` of a task, and the body of `POST /api/algo/backtest`."""

    symbol: Symbol
    interval: Interval
    start_date: Instant = Field(description="First bar's time or later, inclusive.")
    end_date: Instant = Field(description="Exclusive.")
    strategies: list[Annotated[str, Field(min_length=1, max_length=64)]] = Field(min_length=1, max_length=16)
    strategy_params: dict[str, Annotated[dict[str, JsonValue], AfterValidator(_storable)]] = Field(
        default_factory=dict, max_length=16
    )
    combine: Literal["any", "all", "majority", "weighted"] = "any"
    weights: dict[str, Annotated[float, Field(gt=0, le=1e6)]] = Field(
        default_factory=dict,
        max_length=16,
        description="By strategy, where combine is weighted: more than half decides.",
    )
    initial_capital: float = Field(default=10_000.0, gt=0, le=1e15)
    position_size_percent: float = Field(
        default=1.0,
        gt=0,
        le=125,
        description="Share of equity per trade: 0.02 is 2 % of equity. Whole equity by default; at most leverage.",
    )
    sizing: Sizing | None = Field(default=None, description="Another way to size trades than by share of equity.")
    lot_size: float = Field(default=0.0, ge=0, le=1e12, description="Quantities are cut to multiples of this; 0: any.")
    tick_size: float = Field(
        default=0.0, ge=0, le=1e12, description="Prices of fills and levels are multiples of this, against you; 0: any."
    )
    leverage: float = Field(default=1.0, ge=1, le=125, description="Most gross exposure, in equities.")
    maintenance_margin: float = Field(
        default=0.0,
        ge=0,
        lt=1,
        description="Share of exposure; where equity falls to it, everything is liquidated. Below 1 / leverage.",
    )
    max_open_trades: int = Field(default=1, ge=1, le=1_000)
    allow_short: bool = Field(default=False)
    stop_loss: Level | None = Field(default=None, description="From the entry price; a market order when reached.")
    take_profit: Level | None = Field(default=None, description="From the entry price; a limit order.")
    trailing_stop: Level | None = Field(
        default=None, description="From the best price since entry; moves at the end of each bar, never back."
    )
    use_stop_orders: bool = Field(default=True, description="False leaves stopLoss and trailingStop out of this run.")
    use_take_profits: bool = Field(default=True, description="False leaves takeProfit out of this run.")
    atr_period: int = Field(default=14, ge=2, le=10_000, description="Bars of the average true range of levels.")
    commission: Commission = Commission()
    slippage_bps: float = Field(default=0.0, ge=0, le=1_000, description="Added against you on every market fill.")
    spread_bps: float = Field(default=0.0, ge=0, le=1_000, description="Half of it against you on every market fill.")
    fill_at: FillAt = Field(
        default="open", description="Whether an order fills at the next open or at the close that decided it."
    )
    intrabar: Intrabar = Field(
        default="stop_first", description="What came first where stop and target lie inside one bar."
    )
    profile: Profile = Field(
        default="backfleet",
        description="Whose rules fills follow; another program's are described in docs/profiles.md.",
    )
    close_at_end: bool | None = Field(
        default=None,
        description="Whether trades still open are closed at the last close. They are, except with another profile.",
    )
    seed: int = Field(default=0, ge=0, lt=2**63, description="Seed of whatever is random in a run.")
    check_causality: bool = Field(
        default=False,
        description="Before the run, cut the bars at up to twenty places; a strategy that then says otherwise of the "
        "bars before the cut sees the future and is refused.",
    )

    @model_validator(mode="after")
    def _range_is_not_empty(self) -> Self:
        if self.start_date >= self.end_date:
            raise ValueError(
                f"startDate {_write_instant(self.start_date)} must be before endDate {_write_instant(self.end_date)}"
            )
        return self

    @model_validator(mode="after")
    def _parameters_belong_to_a_strategy(self) -> Self:
        if len(set(self.strategies)) != len(self.strategies):
            raise ValueError("strategies must not repeat")
        stray = sorted(set(self.strategy_params) - set(self.strategies))
        if stray:
            raise ValueError(f"strategyParams names {', '.join(stray)}, which strategies does not")
        return self

    @model_validator(mode="after")
    def _weights_belong_to_the_strategies(self) -> Self:
        if self.combine == "weighted" and set(self.weights) != set(self.strategies):
            raise ValueError(
                f"weights must name every strategy and no other: {', '.join(self.strategies)} "
                f"(got {', '.join(self.weights) or 'none'})"
            )
        if self.combine != "weighted" and self.weights:
            raise ValueError(f'weights are for combine "weighted" (combine is "{self.combine}")')
        return self

    @model_validator(mode="after")
    def _sizes_fit_together(self) -> Self:
        if self.position_size_percent > self.leverage:
            raise ValueError(
                f"positionSizePercent must be at most leverage, {self.leverage:g}: 0.02 is 2 % of equity "
                f"(got {self.position_size_percent:g})"
            )
        if self.maintenance_margin * self.leverage >= 1:
            raise ValueError(
                f"maintenanceMargin must be below 1 / leverage, {1 / self.leverage:g}, else a trade is liquidated "
                f"as it opens (got {self.maintenance_margin:g})"
            )
        if self.sizing and self.position_size_percent != 1.0:
            raise ValueError("sizing takes the place of positionSizePercent; leave one of them out")
        if self.sizing and self.sizing.mode == "risk_fraction":
            if not (self.stop_loss or self.trailing_stop):
                raise ValueError(
                    "sizing by risk_fraction needs a stop to measure risk by; add stopLoss or trailingStop"
                )
            if not self.use_stop_orders:
                raise ValueError(
                    "useStopOrders must be true for sizing by risk_fraction, which measures risk by the stop"
                )
        return self

    @model_validator(mode="after")
    def _profile_has_rules_for_it(self) -> Self:
        found = [f"{'.'.join(map(to_camel, path.split('.')))} {words}" for path, words in unfit(self)]
        if found:
            raise ValueError("; ".join(found))
        return self

    @property
    def closes_at_end(self) -> bool:
        return self.profile == "backfleet" if self.close_at_end is None else self.close_at_end

    @property
    def start_ms(self) -> int:
        return to_ms(self.start_date)

    @property
    def end_ms(self) -> int:
        return to_ms(self.end_date)


class BacktestRequest(BacktestParams):
    """The body of `POST /api/algo/backtest` and of `backtest:start`: the params, and how soon."""

    priority: int = Field(default=0, ge=-9, le=9, description="Higher runs earlier.")

    def params(self) -> BacktestParams:
        return BacktestParams.model_construct(
            _fields_set=self.model_fields_set - {"priority"},
            **{name: getattr(self, name) for name in BacktestParams.model_fields},
        )


class Task(Wire):
    """`backtest:task`. `recorded` says that the record exists already; a foreign publisher leaves it out."""

    backtest_id: BacktestId
    user_id: UserId
    params: BacktestParams
    priority: int = Field(default=0, ge=-9, le=9)
    recorded: bool = False
    traceparent: str | None = None


class News(Wire):
    """What every message of a run carries. `epoch` and `seq` order the messages of one backtest."""

    backtest_id: BacktestId
    user_id: UserId
    epoch: int | None = Field(default=None, ge=0)
    seq: int | None = Field(default=None, ge=0)
    traceparent: str | None = None


class Progress(News):
    """`backtest:progress`."""

    progress: float = Field(ge=0, le=100)
    message: Text
    current_date: str
    processed_bars: int | None = None
    total_bars: int | None = None
    trades_executed: int | None = None
    current_pnl: float | None = None
    eta_seconds: float | None = None


class Summary(Wire):
    """The figures people look at first. Percent where percent is usual; `null` where undefined."""

    model_config = ConfigDict(extra="allow")

    total_return: float | None = None
    sharpe_ratio: float | None = None
    max_drawdown: float | None = None


class Complete(News):
    """`backtest:complete`: the result can be read by whoever sees this."""

    status: Literal["success"] = "success"
    result_id: str
    summary: Summary
    dataset_hash: str | None = None
    result_hash: str | None = None
    total_bars: int | None = None


class Failure(News):
    """`backtest:error`."""

    status: Literal["error"] = "error"
    error: Text
    timestamp: str
    code: str | None = None
    errors: list[dict[str, str]] | None = None


class Event(News):
    """`backtest:event`: everything richer than the four fixed channels. `type` names the Socket.IO event."""

    type: Literal["started", "state", "signal", "trade", "log", "thinking", "decision", "paused", "resumed"]
    data: dict[str, Any] = Field(default_factory=dict)


NEWS_MODELS: dict[Channel, type[News]] = {
    Channel.PROGRESS: Progress,
    Channel.COMPLETE: Complete,
    Channel.ERROR: Failure,
    Channel.EVENT: Event,
}


class Cursor(Wire):
    """How far a client has heard one backtest."""

    epoch: int = Field(ge=0)
    seq: int = Field(ge=0)


class SubscribeRequest(Wire):
    """`backtest:subscribe`. Without `after`, all that is kept is replayed."""

    backtest_id: BacktestId
    after: Cursor | None = None


class UnsubscribeRequest(Wire):
    """`backtest:unsubscribe`."""

    backtest_id: BacktestId


class ValidateRequest(Wire):
    """The body of `POST /api/algo/strategies/validate`."""

    strategy: str = Field(min_length=1, max_length=64)
    params: Annotated[dict[str, JsonValue], AfterValidator(_storable)] = Field(default_factory=dict)


CANDLES_MAX = 5_000


class CandlesRequest(Wire):
    """The query of `GET /api/algo/data/{symbol}/{interval}/candles`. Without `from` and `to`: all bars."""

    start: Instant | None = Field(default=None, alias="from")
    end: Instant | None = Field(default=None, alias="to")
    max_points: int = Field(default=1_000, ge=2, le=CANDLES_MAX)

    @model_validator(mode="after")
    def _range_is_not_empty(self) -> Self:
        if self.start and self.end and self.start >= self.end:
            raise ValueError(f"from {_write_instant(self.start)} must be before to {_write_instant(self.end)}")
        return self

    @property
    def start_ms(self) -> int:
        return to_ms(self.start or datetime.min.replace(tzinfo=UTC))

    @property
    def end_ms(self) -> int:
        return to_ms(self.end or datetime.max.replace(tzinfo=UTC))


Model = TypeVar("Model", bound=BaseModel)


def _refuse_constant(token: str) -> None:
    raise ValueError(f"{token} is not JSON")


def parse_json(text: str | bytes) -> object:
    """Strict JSON: no NaN, no Infinity. Raises `MalformedMessage` with the position of the fault."""
    try:
        return json.loads(text, parse_constant=_refuse_constant)
    except RecursionError:
        raise MalformedMessage("nested too deeply", [FieldError("$", "nested too deeply", "malformed")]) from None
    except (ValueError, UnicodeDecodeError) as error:
        raise MalformedMessage(f"not valid JSON: {error}", [FieldError("$", str(error), "malformed")]) from None


def decode(model: type[Model], text: str | bytes) -> Model:
    """Reads one message. Raises `MalformedMessage` or `InvalidRequest` with each field's path."""
    return validate(model, parse_json(text))


def validate(model: type[Model], value: object) -> Model:
    """Checks a value that is already parsed. Raises `InvalidRequest` with each field's path as the caller wrote it."""
    if not isinstance(value, Mapping):
        kind = type(value).__name__
        raise MalformedMessage(f"must be a JSON object, not {kind}", [FieldError("$", f"not an object: {kind}")])
    try:
        return model.model_validate(cast("Mapping[str, Any]", value))
    except ValidationError as error:
        found = [
            FieldError(_path(item), _plain(item["msg"], item.get("input")), item["type"])
            for item in islice(error.errors(include_url=False), ERRORS_MAX)
        ]
        raise InvalidRequest("; ".join(f"{one.field}: {one.message}" for one in found[:5]), found) from None
    except UnicodeEncodeError as error:
        # JSON can spell half a character. As a value pydantic refuses it by its path, as a name it raises this.
        shown = ascii(error.object[error.start : error.end])
        raise InvalidRequest.of("$", f"has a name that is no text: it holds {shown}, half a character") from None


# A check across fields begins its message with the field to change.
_FIELDS = "|".join([*map(to_camel, BacktestRequest.model_fields), "mode", "value", "from"])
_CROSS_FIELD = re.compile(rf"^(?:Value error, )?((?:{_FIELDS})(?:\.[a-z]+)?)\b")


def _path(error: ErrorDetails) -> str:
    parts = [_plain_part(part) for part in error["loc"]]
    if error["type"] == "finite_number" and parts[-1:] == ["float"]:
        parts.pop()  # Inside a JSON value pydantic ends the path with the name of the type it tried.
    named = _CROSS_FIELD.match(error["msg"]) if error["type"] == "value_error" else None
    if named:
        parts.append(named.group(1))
    return ".".join(parts) or "$"


def _plain_part(part: int | str) -> str:
    """A name out of the caller's JSON, short enough to show and without the half characters that JSON can spell."""
    return str(part)[:_KEY_CHARACTERS_MAX].encode("utf-8", "backslashreplace").decode()


def _plain(message: str, value: object) -> str:
    """The message in plain words, with the offending value where it is short enough to help."""
    message = message.removeprefix("Value error, ")
    if isinstance(value, str | int | float | bool) and not isinstance(value, datetime):
        shown = json.dumps(value)[:80]
        return f"{message} (got {shown})"
    return message
