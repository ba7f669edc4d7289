"""Who is measured: our worker and its peers, each started, stopped and killed in the same way."""

import os
import signal
import subprocess
from dataclasses import dataclass, field
from pathlib import Path

from benchmarks import environment, progress, stage
from infra.native import orphans, processes, supervisor
from infra.native.paths import CODE, LOGS, ROOT

TO_END = 20.0  # seconds; then it is killed


@dataclass
class _Side:
    """One process that does the transactions worker's work.

    `publishes_once`: also after a kill. `batched`: it has batches, so that their size can be chosen. `trial`: as many
    transactions as it does in some seconds. `sampled`: the share of its backlog that a bff has sampled for a trace.
    """

    title: str
    group: str
    publishes_once: bool = True
    batched: bool = True
    trial: int = 10_000
    sampled: float = 0.0


@dataclass
class Ours(_Side):
    """The stack's own worker, in an environment of its own, or another command in its place."""

    command: str | None = None
    environment: dict[str, str] = field(default_factory=dict)

    @property
    def part(self) -> str:
        """Its name among the processes."""
        return stage.WORKER

    def start(self, batch: int) -> None:
        """Return at once: nothing asks whether it is ready while it is measured. `batch`: transactions at a time."""
        supervisor.start(stage.WORKER, self.environment | {"BATCH_SIZE": str(batch)}, self.command)

    def stop(self) -> None:
        """Let it leave its group."""
        stage.stop(stage.WORKER)

    def kill(self) -> None:
        stage.kill(stage.WORKER)

    def check(self) -> None:
        """Nothing: the supervisor would have to be asked."""

    def pids(self) -> dict[str, int]:
        """None that the stack does not know."""
        return {}

    def last_words(self) -> str:
        return processes.last_words(stage.WORKER)


@dataclass
class Peer(_Side):
    """A program in the peers' own environment."""

    module: str = ""
    arguments: tuple[str, ...] = ()
    _process: subprocess.Popen[bytes] | None = field(default=None, init=False)

    @property
    def part(self) -> str:
        return self.group

    @property
    def _log(self) -> Path:
        return LOGS / f"{self.part}.log"

    def start(self, batch: int | None = None) -> None:
        # Marked as a part of the stack, so that `make down` ends one that was left behind.
        more = {orphans.STACK: str(ROOT), orphans.PART: self.part, "PYTHONUNBUFFERED": "1"}
        if batch:
            more["BATCH_SIZE"] = str(batch)
        with self._log.open("wb") as log:
            self._process = subprocess.Popen(
                [environment.PYTHON, "-m", self.module, *self.arguments],
                cwd=CODE,
                env=os.environ | more,
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
        """SystemExit when it has ended by itself."""
        if self._process is not None and self._process.poll() is not None:
            raise SystemExit(
                f"{self.title} ended with {self._process.returncode}; its log:\n{self.last_words()}"
            )

    def pids(self) -> dict[str, int]:
        return {self.part: self._process.pid} if self._process else {}

    def last_words(self) -> str:
        lines = self._log.read_text(errors="replace").splitlines()
        return "\n".join(f"    {line}" for line in lines[-15:])


Side = Ours | Peer

OURS = Ours("this worker", progress.GROUP)
WITHOUT_HISTORY = Ours(
    "without history",
    progress.GROUP,
    command="faust -A benchmarks.peers.no_history worker --loglevel info",
)
LOOP = Peer("(a) loop by hand, aiokafka", "peer-loop", module="benchmarks.peers.loop")
FASTSTREAM = Peer("(b) FastStream", "peer-faststream", module="benchmarks.peers.faststream_")
QUIX = Peer("(c) Quix Streams", "peer-quix", module="benchmarks.peers.quix")
PLAIN_FAUST = Peer(
    "(d) plain Faust",
    "peer-plain-faust",
    publishes_once=False,
    batched=False,
    trial=400,
    module="benchmarks.peers.plain_faust",
    arguments=("worker",),
)

SIDES: tuple[Side, ...] = (OURS, LOOP, FASTSTREAM, QUIX, PLAIN_FAUST)
