"""Which commands of a run wait for an answer, and what that is. Pure, and of one run."""

from __future__ import annotations

from collections.abc import Iterable

from shared.playback import Phase, Word, word_for
from shared.wire import Wire

# Steps that are asked for while one is under way wait for its end together; whoever asks for more waits in vain.
_OWED_MAX = 1_000


class Owed(Wire):
    """A command that was heard and is not answered yet."""

    command_id: str
    action: str


class Answers:
    """Of the commands that a playback has heard. `settle` after all that may have changed its phase."""

    def __init__(self, owed: Iterable[Owed] = ()) -> None:
        self._owed = list(owed)
        self._due: list[tuple[Word, Owed]] = []

    @property
    def owed(self) -> list[Owed]:
        """Those that have not come to what they can come to."""
        return self._owed

    @property
    def unsaid(self) -> list[Owed]:
        """All that nobody has been answered yet: whoever takes the run up does."""
        return [*(one for _, one in self._due), *self._owed]

    @property
    def stop(self) -> Owed | None:
        """The command that ended the run: none answers it but the end."""
        return next((one for one in self._owed if one.action == "stop"), None)

    @property
    def due(self) -> int:
        """How many answers can be given."""
        return len(self._due)

    def owe(self, one: Owed) -> None:
        self._owed.append(one)

    def settle(self, phase: Phase) -> None:
        """Notes an answer to each command that has come to what it can come to."""
        owed, self._owed = self._owed, list[Owed]()
        for one in owed:
            word = word_for(one.action, phase)
            if word is None:
                self._owed.append(one)
            else:
                self._due.append((word, one))
        del self._owed[:-_OWED_MAX]

    def take(self) -> list[tuple[Word, Owed]]:
        """The answers that can be given now, in order."""
        due, self._due = self._due, []
        return due
