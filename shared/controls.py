"""What can be asked of a run: at an edge, in its record, and on `backtest:control`."""

from __future__ import annotations

from typing import Annotated, Any, Literal, Self

from pydantic import AliasChoices, ConfigDict, Field, model_validator
from pydantic.alias_generators import to_camel

from shared.contracts import ID_PATTERN, BacktestId, UserId
from shared.instants import Instant
from shared.playback import Command, Pause, Resume, Seek, Speed, Step, Stop
from shared.request import BarsPerSecond
from shared.wire import Asked, Whole, Wire

Action = Literal["pause", "resume", "stop", "speed", "step", "seek"]
# Which fields go with which action; all others go with all of them.
_FIELDS_OF: dict[str, tuple[str, ...]] = {
    "speed": ("speed",),
    "step": ("bars",),
    "seek": ("bar", "time"),
    "stop": ("close_open_trades",),
}


class PlainCommand(Asked):
    """A command that needs nothing beside its action.

    `commandId` makes one that is sent again count once; where there is none, one is made.
    """

    command_id: Annotated[str, Field(pattern=ID_PATTERN)] | None = Field(
        default=None, description="Makes it count once, however often it is sent; one is made where it is left out."
    )


def _describe_closing(schema: dict[str, Any]) -> None:
    """`closePosition` stands in the schema beside the field it is another name of."""
    named = {"title": "Closeposition", "description": "Another name of closeOpenTrades; send one of them."}
    schema["properties"]["closePosition"] = schema["properties"]["closeOpenTrades"] | named
    schema["not"] = {"required": ["closeOpenTrades", "closePosition"]}


class StopCommand(PlainCommand):
    """Ends a backtest where it is."""

    model_config = ConfigDict(json_schema_extra=_describe_closing)

    close_open_trades: bool = Field(
        default=True,
        alias="closeOpenTrades",
        validation_alias=AliasChoices("closeOpenTrades", "closePosition", "close_position"),
        description="For stop: whether what is open is closed at the last close.",
    )


class SpeedCommand(PlainCommand):
    """Sets the pace."""

    speed: BarsPerSecond = Field(description="Bars a second, from 0.1, or max.", examples=[50])


class StepCommand(PlainCommand):
    """Goes on by so many bars."""

    bars: Whole = Field(default=1, ge=1, le=2**31, description="For step: how many bars, then paused again.")


class SeekCommand(PlainCommand):
    """Goes to a bar, forward or back."""

    bar: Annotated[Whole, Field(ge=0, le=2**31)] | None = Field(
        default=None, description="For seek: to just before this bar, counted from 0.", examples=[500]
    )
    time: Instant | None = Field(default=None, description="For seek: to just before the first bar from then on.")


class ControlRequest(StopCommand, StepCommand, SeekCommand):
    """What somebody asks of a run, whichever edge it comes in by."""

    action: Action
    speed: BarsPerSecond | None = Field(default=None, description="For speed: bars a second, from 0.1, or max.")

    @model_validator(mode="after")
    def _fields_go_with_the_action(self) -> Self:
        others = {name for action, names in _FIELDS_OF.items() if action != self.action for name in names}
        stray = sorted(to_camel(name) for name in self.model_fields_set & others)
        if stray:
            raise ValueError(f"{', '.join(stray)} does not go with {self.action}; leave it out")
        if self.action == "speed" and self.speed is None:
            raise ValueError("speed must say how many bars a second, from 0.1, or max")
        if self.action == "seek" and (self.bar is None) == (self.time is None):
            raise ValueError("seek needs one of bar, an index from 0, and time, an instant")
        return self


class SocketControlRequest(ControlRequest):
    """`backtest:control` over a socket: which backtest, and what is asked of it."""

    backtest_id: BacktestId


class Control(Wire):
    """`backtest:control`: one command for a run. What counts is the record, which carries the same among its
    `controls`; the message on the channel only says "look now".

    `seq` counts the commands for one backtest from 1; a foreign publisher leaves it out, and the command is put into
    the record if the backtest is its user's. `bars` is how far to `step`, `bar` or `time` where to `seek` to, `speed`
    how many bars a second ("max": as fast as it goes). `watch` is no command: somebody subscribes to what the run
    says, and a run that hears it says where it stands.
    """

    backtest_id: BacktestId
    user_id: UserId
    seq: int | None = Field(default=None, ge=1)
    command_id: str = Field(default="", max_length=128)
    action: Literal[Action, "watch"]
    speed: BarsPerSecond | None = None
    bars: int = Field(default=1, ge=1, le=2**31)
    bar: int | None = Field(default=None, ge=0, le=2**31)
    time: Instant | None = None
    close_open_trades: bool = True


def command_of(control: Control | ControlRequest, bar: int | None = None) -> Command:
    """The command as the run understands it. `bar` is that of its `time`."""
    match control.action:
        case "pause":
            return Pause()
        case "resume":
            return Resume()
        case "stop":
            return Stop(control.close_open_trades)
        case "speed":
            return Speed(None if control.speed == "max" else control.speed)
        case "step":
            return Step(control.bars)
        case "seek":
            return Seek(control.bar or bar or 0)
        case "watch":
            raise AssertionError("somebody who watches asks nothing of the run")
