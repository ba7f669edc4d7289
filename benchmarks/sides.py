"""Who is measured: our worker and its peers, each started, stopped and killed in the same way."""

import os
import signal
import subprocess
from abc import ABC, abstractmethod
from dataclasses import dataclass, field
from pathlib import Path

from benchmarks import environment, progress, stage
from infra.native import orphans
from infra.native.paths import CODE, LOGS, ROOT

TO_END = 20.0  # seconds; then it is killed


@dataclass
class Side(ABC):
    """One process that does the transactions worker's work.

    `publishes_once`: also after a kill. `batched`: it has batches, so that their size can be chosen. `trial`: as many
    transactions as it does in some seconds.
    """

    title: str
    group: str
    publishes_once: bool = True
    batched: bool = True
    trial: int = 10_000

    @property
    @abstractmethod
    def part(self) -> str:
        """Its name among the processes."""

    @abstractmethod
    def start(self, batch: int) -> None:
        """Return at once; `batch`: transactions at a time."""

    @abstractmethod
    def stop(self) -> None:
        """Let it leave its group; nothing if it does not run."""

    @abstractmethod
    def kill(self) -> None:
        """SIGKILL."""

    @abstractmethod
    def check(self) -> None:
        """SystemExit when it has ended by itself, where that can be seen at no cost."""

    @abstractmethod
    def pids(self) -> dict[str, int]:
        """Its process, unless the stack knows it."""

    @abstractmethod
    def last_words(self) -> str:
        """The end of its log."""


class Ours(Side):
    """The stack's own worker."""

    part = stage.WORKER

    def start(self, batch: int) -> None:
        stage.start_at_once(stage.WORKER, {"BATCH_SIZE": str(batch)})

    def stop(self) -> None:
        stage.stop(stage.WORKER)

    def kill(self) -> None:
        stage.kill(stage.WORKER)

    def check(self) -> None:
        """The supervisor would have to be asked."""

    def pids(self) -> dict[str, int]:
        return {}

    def last_words(self) -> str:
        return stage.last_words(stage.WORKER)


@dataclass
class Peer(Side):
    """A program of benchmarks/peers, in its own environment."""

    module: str = ""
    arguments: tuple[str, ...] = ()
    _process: subprocess.Popen[bytes] | None = field(default=None, init=False)

    @property
    def part(self) -> str:
        return self.group

    @property
    def _log(self) -> Path:
        return LOGS / f"{self.part}.log"

    def start(self, batch: int) -> None:
        # Marked as a part of the stack, so that `make down` ends one that was left behind.
        marks = {orphans.STACK: str(ROOT), orphans.PART: self.part}
        with self._log.open("wb") as log:
            self._process = subprocess.Popen(
                [environment.PYTHON, "-m", f"benchmarks.peers.{self.module}", *self.arguments],
                cwd=CODE,
                env=os.environ | marks | {"BATCH_SIZE": str(batch), "PYTHONUNBUFFERED": "1"},
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    def stop(self) -> None:
        if self._process is not None and self._process.poll() is None:
            self._process.terminate()
            try:
                self._process.wait(TO_END)
            except subprocess.TimeoutExpired:
                self.kill()

    def kill(self) -> None:
        assert self._process is not None
        os.killpg(self._process.pid, signal.SIGKILL)  # with what it has started
        self._process.wait()

    def check(self) -> None:
        if self._process is not None and self._process.poll() is not None:
            raise SystemExit(
                f"{self.title} ended with {self._process.returncode}; its log:\n{self.last_words()}"
            )

    def pids(self) -> dict[str, int]:
        return {self.part: self._process.pid} if self._process else {}

    def last_words(self) -> str:
        lines = self._log.read_text(errors="replace").splitlines()
        return "\n".join(f"    {line}" for line in lines[-15:])


OURS = Ours("this worker", progress.GROUP)
LOOP = Peer("(a) loop by hand, aiokafka", "peer-loop", module="loop")
FASTSTREAM = Peer("(b) FastStream", "peer-faststream", module="faststream_")
QUIX = Peer("(c) Quix Streams", "peer-quix", module="quix")
PLAIN_FAUST = Peer(
    "(d) plain Faust", "peer-plain-faust", False, False, 400, module="plain_faust", arguments=("worker",)
)

SIDES: tuple[Side, ...] = (OURS, LOOP, FASTSTREAM, QUIX, PLAIN_FAUST)
