"""Starts children of ours again that died, each after a pause that grows while it does not stay alive."""

from __future__ import annotations

import time
from collections.abc import Callable

from deploy.processes import Child
from shared.errors import ConfigurationError

FIRST_PAUSE_S = 1.0
LONGEST_PAUSE_S = 30.0
# Whoever lived that long did not die of how it was started: its next pause is the first one again.
LIVED_S = 60.0


class Restarts:
    """Looks after a dictionary of children: `tend` it often, it never waits.

    A child that died is started again after 1 s, then 2 s, and so on up to 30 s; after a life of a minute, after 1 s
    again. Each is one line for `say`: who, how it ended, when it is started again.
    """

    def __init__(self, say: Callable[[str], None], now_s: Callable[[], float] = time.monotonic) -> None:
        self._say = say
        self._now_s = now_s
        self._pause_s: dict[str, float] = {}
        self._due_s: dict[str, float] = {}
        self._began_s: dict[str, float] = {}

    def tend(self, children: dict[str, Child], start: Callable[[str], Child]) -> None:
        """Puts whatever `start(name)` gives in the place of a dead child, once its pause is over."""
        for name, child in list(children.items()):
            began_s = self._began_s.setdefault(name, self._now_s())
            if name in self._due_s:
                if self._now_s() >= self._due_s[name]:
                    self._start(name, children, start)
            elif not child.running:
                if self._now_s() - began_s >= LIVED_S:
                    self._pause_s.pop(name, None)
                self._plan(name, f"{name} (pid {child.pid}) {child.end()}")

    def _start(self, name: str, children: dict[str, Child], start: Callable[[str], Child]) -> None:
        del self._due_s[name]
        try:
            children[name] = start(name)
        except (OSError, ConfigurationError) as error:  # no more processes, memory, or room for its log
            self._plan(name, f"{name} cannot be started: {error}")
        else:
            self._began_s[name] = self._now_s()

    def _plan(self, name: str, why: str) -> None:
        pause_s = self._pause_s.get(name, FIRST_PAUSE_S)
        self._pause_s[name] = min(2 * pause_s, LONGEST_PAUSE_S)
        self._due_s[name] = self._now_s() + pause_s
        self._say(f"{why}; it is started again in {pause_s:g} s")
