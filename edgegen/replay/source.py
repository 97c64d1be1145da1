"""Where the frames come from: another process makes them ahead, so that no frame waits for a model or for a table.

Its pipe holds about PIPE_BYTES of frames and it AHEAD flows, whatever there is to be sent.
"""

import fcntl
import itertools
import multiprocessing
import os
import signal
import sys
from collections.abc import Generator, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from multiprocessing import resource_tracker
from multiprocessing.connection import Connection
from pathlib import Path
from queue import Queue
from threading import Thread

from edgegen.errors import EdgegenError, UsageError
from edgegen.flow import Flow
from edgegen.pcap_writer import Frame, frames
from edgegen.signals import ENDING
from edgegen.trust import Trust

ENDLESS = 2**63 - 1  # flows
PIPE_BYTES = 1 << 20  # what any process may have
# Unpacking a batch must not hold a frame up.
BATCH_BYTES = 16_384
AHEAD = 1_024  # flows, as many as an engine hands over at a time
NICENESS = 5
NAP = 0.1  # seconds, after which one looks whether to end


@dataclass(frozen=True)
class Source:
    """path: a bundle, which generates, or a table of flows
    n: flows; None is all of a table, and flows without end from a bundle
    seed: of a bundle; None is 0
    labels: of a bundle's flows in turn; in a table, those that are meant; () for any
    trust: whose signature a bundle must have
    """

    path: Path
    n: int | None = None
    seed: int | None = None
    labels: tuple[str, ...] = ()
    trust: Trust | None = None

    @property
    def is_bundle(self) -> bool:
        return self.path.is_dir() or self.path.suffix == ".edgegen"

    def check(self) -> None:
        """UsageError for what does not go together."""
        if self.n is not None and self.n < 1:
            raise UsageError(f"-n {self.n} leaves nothing to send: give 1 or more")
        if self.seed is not None and not self.is_bundle:
            raise UsageError(f"--seed is for a bundle, and {self.path} is none: leave it out")

    def flows(self) -> Iterator[Flow]:
        """The flows, as they are made or read. Raises EdgegenError for what is neither bundle nor table."""
        if self.is_bundle:
            from edgegen.bundle import Bundle
            from edgegen.runtime import generate

            bundle = Bundle.open(self.path, self.trust)
            return generate(bundle, ENDLESS if self.n is None else self.n, self.labels, self.seed or 0)
        return itertools.islice(self._read(), self.n)

    def _read(self) -> Iterator[Flow]:
        from edgegen.readers import table_flows
        from edgegen.readers.report import Report

        report, found = Report(), False
        for flow in table_flows(self.path, report):
            if not self.labels or flow.label in self.labels:
                found = True
                yield flow
        for line in report.lines():
            print(f"  {line}", file=sys.stderr)
        if not found:
            raise EdgegenError(f"{self.path} holds no flow of label {' or '.join(self.labels)}: see edgegen data info")


def batches(source: Source, mtu: int, stop: Sequence[int]) -> Generator[list[Frame]]:
    """The frames of `source` for that MTU, some at a time; no more once there is something in `stop`.

    What `source.flows` raises, this raises.
    """
    context = multiprocessing.get_context("spawn")
    reader, writer = context.Pipe(duplex=False)
    with suppress(OSError):
        fcntl.fcntl(writer, fcntl.F_SETPIPE_SZ, PIPE_BYTES)
    process = context.Process(target=_feed, args=(source, mtu, writer), daemon=True)
    # Otherwise `start` does it, and clears the mask on the way.
    resource_tracker.ensure_running()
    # The other process inherits the mask: what a terminal sends to both is for this one, which ends the other.
    mask = signal.pthread_sigmask(signal.SIG_BLOCK, ENDING)
    try:
        process.start()
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, mask)
    writer.close()
    try:
        while not stop:
            if not reader.poll(NAP):
                continue
            batch = reader.recv()
            if isinstance(batch, Exception):
                raise batch
            if not batch:
                return
            yield batch
    except (EOFError, OSError) as error:
        raise EdgegenError(f"the process that makes the frames of {source.path} has died: is memory short?") from error
    finally:
        reader.close()
        process.kill()
        process.join()


def _feed(source: Source, mtu: int, writer: "Connection[list[Frame] | Exception, None]") -> None:
    """Write the frames of `source` to a pipe, then an empty batch, or what went wrong."""
    # Where the two share one processor, a frame that is due goes before those to come.
    os.nice(NICENESS)
    batch: list[Frame] = []
    size = 0
    try:
        try:
            for frame in frames(_ahead(source.flows()), mtu):
                batch.append(frame)
                size += len(frame[1])
                if size >= BATCH_BYTES:
                    writer.send(batch)
                    batch, size = [], 0
            if batch:
                writer.send(batch)
            writer.send([])
        except (EdgegenError, ModuleNotFoundError) as error:
            writer.send(error)
    except BrokenPipeError:
        # Without a reader nobody is left to say anything to. The thread that makes flows may be within the engine,
        # which an orderly end would take apart under it.
        os._exit(1)


def _ahead(flows: Iterator[Flow]) -> Iterator[Flow]:
    """The same flows, made by a thread that is up to AHEAD of them in front."""
    waiting: Queue[Flow | Exception | None] = Queue(AHEAD)

    def make() -> None:
        try:
            for flow in flows:
                waiting.put(flow)
            waiting.put(None)
        except Exception as error:
            waiting.put(error)

    Thread(target=make, daemon=True).start()
    while (flow := waiting.get()) is not None:
        if isinstance(flow, Exception):
            raise flow
        yield flow
