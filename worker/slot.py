"""A slot: one warm engine process, the pipe to it, and when to replace it."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import pickle
import sys
import time
from collections.abc import Callable
from pathlib import Path

from shared.errors import EngineFailed, FieldError, InvalidRequest, Refusal
from shared.settings import Settings, environment_for_child, kernel_cache_dir
from worker.kernels import engine_digest
from worker.pipe import (
    HEADER_BYTES,
    Busy,
    Command,
    Drop,
    LogLine,
    Raised,
    Ready,
    Select,
    frame,
)

log = logging.getLogger(__name__)

# Importing numba and compiling the kernel without a cache takes several seconds on a slow machine.
START_LIMIT_S = 120.0
_KILL_WAIT_S = 5.0
_PIPE_BUFFER_BYTES = 1 << 20
# Whoever computes gets at least this share of the time, also beside many others; whoever hangs gets none.
_COMPUTING_SHARE = 0.02


class RunRefused(Refusal):
    """The engine process refused or failed the run in an orderly way: running it again would end the same.

    `logs` are the lines that were logged on the way there, `logs_dropped` how many more there were.
    """

    def __init__(
        self,
        code: str,
        message: str,
        errors: tuple[FieldError, ...],
        logs: tuple[LogLine, ...] = (),
        logs_dropped: int = 0,
    ) -> None:
        super().__init__(message, errors)
        self.code = code
        self.logs = logs
        self.logs_dropped = logs_dropped


class Slot:
    """Starts its engine process when first needed, keeps it warm, and replaces it when it died or grew too large."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._process: asyncio.subprocess.Process | None = None
        self._runs = 0
        self._selected = 0  # the run that the process takes commands for
        self._dropped: list[int] = []  # what it still has of runs that will not go on in it
        self.starts = 0  # how many processes it has had
        self.parked = 0  # runs that wait in its process while it is another's

    @property
    def pid(self) -> int | None:
        return self._process.pid if self._process is not None else None

    @property
    def warm(self) -> bool:
        """Whether its engine process is there to be used."""
        return self._process is not None and self._process.returncode is None

    async def start(self) -> None:
        """Returns when the process is warm. Raises `EngineFailed`, not counted against any backtest."""
        if self.warm:
            return
        await self.kill()  # of what has died by itself
        try:
            self._process = await asyncio.create_subprocess_exec(
                *(sys.executable, "-m", "worker.engine_process", str(os.getpid())),
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.PIPE,
                env=environment_for_child(self._settings, kernel_cache_dir(self._settings, engine_digest())),
                limit=_PIPE_BUFFER_BYTES,
            )
        except OSError as error:  # EAGAIN, ENOMEM, EMFILE: this machine's trouble, and no backtest's
            raise EngineFailed(f"engine process cannot be started here: {error}", fault=False) from error
        self._runs = self._selected = 0
        self._dropped.clear()
        self.starts += 1
        try:
            async with asyncio.timeout(START_LIMIT_S):
                reply = await self._receive()
        except TimeoutError:
            await self.kill()
            raise EngineFailed(f"engine process was not ready within {START_LIMIT_S:g} s", fault=False) from None
        except EngineFailed as error:
            raise EngineFailed(f"engine process did not start: {error.message}", fault=False) from None
        if not isinstance(reply, Ready):
            await self.kill()
            raise EngineFailed(f"engine process began with {type(reply).__name__}", fault=False)
        log.debug("engine process %s is warm", self.pid)

    async def recycle_if_worn(self, peak_mib: int) -> None:
        """Ends a process that has run long enough or grown too large; the next run starts a fresh one. Not while other
        runs wait in it."""
        self._runs += 1
        if self.parked:
            return
        if self._runs >= self._settings.recycle_after_runs or peak_mib > self._settings.recycle_above_mib:
            log.info("engine process %s is replaced after %d runs at %d MiB", self.pid, self._runs, peak_mib)
            await self.kill()

    async def kill(self) -> None:
        """Ends the process at once. Harmless when there is none."""
        process, self._process = self._process, None
        if process is None:
            return
        if process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                process.kill()
        async with asyncio.timeout(_KILL_WAIT_S):
            await process.wait()
        if process.stdin is not None:
            process.stdin.close()

    def drop(self, run: int) -> None:
        """That run will not go on in this process."""
        self._dropped.append(run)

    async def ask(self, run: int, command: Command, limit_s: float, on_busy: Callable[[str], None] | None) -> object:
        """One command, one reply, within the limits. What goes wrong ends the process: nobody knows its state.

        Raises `EngineFailed`, `InvalidRequest` and `RunRefused`, with the code `run_limit` after `limit_s`.
        """
        process = self._process
        if process is None or process.stdin is None:
            raise EngineFailed("engine process is not running", fault=False)
        answered = False
        try:
            for before in self._before(run):
                process.stdin.write(frame(before))
            process.stdin.write(frame(command))
            reply = await self._reply(process.pid, limit_s, on_busy)
            answered = True
        except (BrokenPipeError, ConnectionResetError):
            raise EngineFailed("engine process died") from None
        finally:
            if not answered:
                await self.kill()
        if isinstance(reply, Raised):
            if reply.errors and reply.code == InvalidRequest.code:
                raise InvalidRequest(reply.message, reply.errors)
            raise RunRefused(reply.code, reply.message, reply.errors, reply.logs, reply.logs_dropped)
        return reply

    def _before(self, run: int) -> list[Command]:
        """What the process has to know before a command of that run."""
        before: list[Command] = [Drop(dropped) for dropped in self._dropped]
        self._dropped.clear()
        if run != self._selected:
            before.append(Select(run))
            self._selected = run
        return before

    async def _reply(self, pid: int, limit_s: float, on_busy: Callable[[str], None] | None) -> object:
        """The answer, however long it takes while the process shows that it lives, at most for what the run may take.

        It lives if it says so now and then, or is seen to compute: one call of a strategy says nothing before its end.
        Raises `EngineFailed` for one that hangs, and `RunRefused` with the code `run_limit`.
        """
        stall_limit_s = self._settings.stall_limit_s
        looked_s = time.monotonic()
        ends_s = looked_s + limit_s
        computed_s = None
        receiving = asyncio.create_task(self._receive())
        try:
            while True:
                # Two looks in each stall limit, of which the first only notes how much was computed until then.
                look_s = looked_s + stall_limit_s / 2
                await asyncio.wait([receiving], timeout=max(0.0, min(look_s, ends_s) - time.monotonic()))
                now_s = time.monotonic()
                if receiving.done():
                    if not isinstance(message := receiving.result(), Busy):
                        return message
                    if on_busy is not None:
                        on_busy(message.doing)
                    receiving = asyncio.create_task(self._receive())
                    looked_s, computed_s = now_s, None
                elif now_s >= ends_s:
                    raise RunRefused(
                        "run_limit",
                        f"the run has computed for {self._settings.run_limit_s:g} s, the most that is allowed here "
                        "(BACKFLEET_RUN_LIMIT_S), and was ended; ask for fewer bars, or for strategies that take less",
                        (),
                    )
                elif now_s >= look_s:  # Timers fire a little early, and too short a while tells nothing.
                    since_s, computed_s = computed_s, _cpu_time_s(pid)
                    if since_s is not None and computed_s - since_s < _COMPUTING_SHARE * (now_s - looked_s):
                        raise EngineFailed(f"engine process hung for {stall_limit_s:g} s and was killed")
                    looked_s = now_s
        finally:
            receiving.cancel()

    async def _receive(self) -> object:
        process = self._process
        if process is None or process.stdout is None:
            raise EngineFailed("engine process is not running", fault=False)
        try:
            header = await process.stdout.readexactly(HEADER_BYTES)
            data = await process.stdout.readexactly(int.from_bytes(header, "little"))
        except asyncio.IncompleteReadError:
            code = await process.wait()
            how = f"was killed by signal {-code}" if code < 0 else f"exited with code {code}"
            raise EngineFailed(f"engine process {how}") from None
        return pickle.loads(data)


def _cpu_time_s(pid: int) -> float:
    """How long a process has computed so far; 0 where nothing tells, so that only what it says counts as life there."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text("ascii", "replace").rpartition(")")[2].split()
    except OSError:
        return 0.0
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
