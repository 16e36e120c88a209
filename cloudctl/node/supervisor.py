"""`cloudctl serve --workers N`: starts the workers of one machine and their broker, and starts again what has died."""

import asyncio
import contextlib
import logging
import os
import signal
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from msgspec.structs import replace

from ..clock import SECOND, stopwatch
from ..io.broker import dies_with_parent
from .broker_files import write_broker_files
from .config import NodeConfig, load
from .pid_file import PidFile, ReloadAnswer, ReloadError, reload_node, write_answer
from .startup import start_embedded_broker
from .workers import check_workers, issue_certificates, worker_file

FIRST_PAUSE, MAX_PAUSE = 0.2, 30.0  # s before a worker that died again is started again; the first time there is none
SETTLED = 60 * SECOND  # a worker that ran so long did not die of its start
STOP_TIMEOUT = 20.0  # s for a worker to end in peace
log = logging.getLogger("cloudctl.node")


class Supervisor:
    """Runs `count` workers of the node's file. `options`: of `cloudctl serve`, for each of them; `show` gets the lines
    that workers print."""

    def __init__(self, file: Path, count: int, options: Sequence[str], show: Callable[[str], None]) -> None:
        self._file, self._count, self._options, self._show = file, count, tuple(options), show
        self.config = _with_workers(load(file), count)
        check_workers(self.config, count)
        issue_certificates(self.config, count)
        self._processes: dict[int, asyncio.subprocess.Process] = {}
        self._ready: dict[int, str] = {}  # what each worker has printed when it began to serve
        self._stop = asyncio.Event()
        self._number = 0  # of the reload

    async def run(self, ready: Callable[[Sequence[str]], None]) -> None:
        """Run until SIGINT or SIGTERM. `ready` is called once, with a line of each worker, when all serve."""
        loop = asyncio.get_running_loop()
        self._stop = asyncio.Event()
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, self._stop.set)

        reloads: set[asyncio.Task[None]] = set()
        loop.add_signal_handler(signal.SIGHUP, lambda: reloads.add(loop.create_task(self._reload())))

        broker = start_embedded_broker(self.config)
        pid_file = PidFile(self._file)
        tasks = [loop.create_task(self._keep(number, ready)) for number in range(1, self._count + 1)]

        if broker:
            tasks.append(loop.create_task(broker.keep()))

        try:
            stopping = loop.create_task(self._stop.wait())
            done, _ = await asyncio.wait([stopping, *tasks], return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                task.result()
        finally:
            for task in tasks:
                task.cancel()
            await self._end_workers()
            if broker:
                broker.stop()
            pid_file.remove()

    async def _keep(self, number: int, ready: Callable[[Sequence[str]], None]) -> None:
        """Start a worker, and start it again whenever it has died, after a pause that grows."""
        pause = 0.0
        while not self._stop.is_set():
            begun = stopwatch()
            process = await self._start(number)
            first = await self._first_line(process)

            if first and not self._ready.get(number):
                self._ready[number] = first
                if len(self._ready) == self._count:
                    ready([self._ready[worker] for worker in sorted(self._ready)])
            elif not first and not self._ready.get(number):
                status = await process.wait()
                raise RuntimeError(f"worker {number} did not start (exit status {status}); its reason stands above")

            status = await self._drain(process)
            if self._stop.is_set():
                return

            pause = 0.0 if stopwatch() - begun > SETTLED else pause
            log.error("worker %d ended with status %s; it is started again in %.1f s", number, status, pause)
            await asyncio.sleep(pause)
            pause = min(max(2 * pause, FIRST_PAUSE), MAX_PAUSE)

    async def _start(self, number: int) -> asyncio.subprocess.Process:
        command = [sys.executable, "-m", "cloudctl", "serve", str(self._file)]
        command += ["--worker", f"{number}/{self._count}", *self._options]
        process = await asyncio.create_subprocess_exec(
            *command, stdout=asyncio.subprocess.PIPE, preexec_fn=dies_with_parent(), start_new_session=True
        )
        self._processes[number] = process
        return process

    async def _first_line(self, process: asyncio.subprocess.Process) -> str:
        assert process.stdout is not None
        return (await process.stdout.readline()).decode(errors="replace").strip()

    async def _drain(self, process: asyncio.subprocess.Process) -> int:
        """Pass on what a worker prints; return its exit status."""
        assert process.stdout is not None
        while line := await process.stdout.readline():
            self._show(line.decode(errors="replace").rstrip())
        return await process.wait()

    async def _end_workers(self) -> None:
        for process in self._processes.values():
            with contextlib.suppress(ProcessLookupError):
                process.terminate()

        for process in self._processes.values():
            try:
                await asyncio.wait_for(process.wait(), STOP_TIMEOUT)
            except TimeoutError:
                process.kill()
                await process.wait()

    async def _reload(self) -> None:
        """Have the broker's files written anew and every worker read the file again; answer for all of them."""
        refusals: list[str] = []
        notes: list[str] = []
        try:
            self.config = _with_workers(load(self._file), self._count)
            write_broker_files(self.config)
        except (ValueError, RuntimeError, OSError) as error:
            refusals.append(str(error))

        if not refusals:
            for number in range(1, self._count + 1):
                try:
                    answer = await asyncio.to_thread(reload_node, worker_file(self._file, number))
                    notes += [note for note in answer.notes if note not in notes]
                except ReloadError as error:
                    refusals.append(f"worker {number}: {error}")

        self._number += 1
        refusal = "; ".join(refusals) or None
        if refusal:
            log.warning("configuration not taken over: %s", refusal)

        write_answer(self._file, ReloadAnswer(process=os.getpid(), number=self._number, refusal=refusal, notes=notes))


def _with_workers(config: NodeConfig, count: int) -> NodeConfig:
    return replace(config, node=replace(config.node, workers=count))
