"""The stack's commands, from outside, on a small Procfile of stand-in processes: seconds, no real server."""

import contextlib
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

REPOSITORY = Path(__file__).resolve().parents[2]
# A separate address, so that a running stack does not conflict with the tests (macOS has only one).
HOST = "127.77.0.1" if sys.platform == "linux" else "127.0.0.1"
WEB = """
import http.server, os, sys
class Ready(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200); self.end_headers(); self.wfile.write(b'{"ready": true}')
print("greeting:", os.environ.get("GREETING"), flush=True)
port = int(os.environ.get("WEB_PORT", sys.argv[1]))
http.server.ThreadingHTTPServer((os.environ["LISTEN_HOST"], port), Ready).serve_forever()
"""
PROCFILE = """
bff: python web.py 5001
transactions: python web.py 5002
generator: python -c 'import time; time.sleep(600)'
"""


class Stack:
    """One stack in a separate folder, and the commands on it."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.door = root  # the folder of the supervisor's socket, once there is one
        self.environment = os.environ | {
            "FAUST_PAYMENTS_ROOT": str(root),
            "LISTEN_HOST": HOST,
            "BFF_URL": f"http://{HOST}:5001",
        }
        (root / "web.py").write_text(WEB)
        self.procfile(PROCFILE)

    def procfile(self, text: str) -> None:
        (self.root / "Procfile").write_text(text)

    def begin(self, *arguments: str, **environment: str) -> "subprocess.Popen[str]":
        command = ["reconciliation.demo"] if arguments == ("demo",) else ["infra.native", *arguments]
        return subprocess.Popen(
            [sys.executable, "-m", *command],
            cwd=REPOSITORY,
            env=self.environment | environment,
            text=True,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
        )

    def run(self, *arguments: str, code: int = 0, **environment: str) -> str:
        started = self.begin(*arguments, **environment)
        said, _ = started.communicate(timeout=60)
        self.remember_door()
        assert started.returncode == code, said
        return said

    def remember_door(self) -> None:
        with contextlib.suppress(FileNotFoundError):
            written = (self.root / ".stack/run/supervisor/supervisord.conf").read_text()
            self.door = Path(written.split("file = ")[1].splitlines()[0]).parent

    def ps(self) -> dict[str, list[str]]:
        """Name -> state, pid, port, ready."""
        rows = [line.split() for line in self.run("ps").splitlines()[1:]]
        return {row[0]: [" ".join(row[1:-3]), *row[-3:]] for row in rows}

    def states(self) -> dict[str, str]:
        return {name: row[0] for name, row in self.ps().items()}

    def pid(self, name: str) -> int:
        return int(self.ps()[name][1])

    def crash(self) -> None:
        """SIGKILL the supervisor: its processes go on without it."""
        supervisor = int((self.root / ".stack/run/supervisor/supervisord.pid").read_text())
        deadline = time.monotonic() + 10
        # On a slow machine a process may still be the launcher, which has no mark yet.
        while (
            set(psutil.Process(supervisor).children()) - set(self.processes()) and time.monotonic() < deadline
        ):
            time.sleep(0.05)
        os.kill(supervisor, signal.SIGKILL)

    def processes(self) -> list[psutil.Process]:
        """Every living process that carries this stack's mark."""
        found = []
        for process in psutil.process_iter():
            with contextlib.suppress(psutil.Error):
                marked = process.environ().get("FAUST_PAYMENTS_STACK") == str(self.root)
                if marked and process.status() != psutil.STATUS_ZOMBIE:
                    found.append(process)
        return found

    def close(self) -> None:
        """Kill what is left of it."""
        for process in self.processes():  # not with `down`, which is under test
            process.kill()
        if self.door != self.root:
            shutil.rmtree(self.door, ignore_errors=True)

    def has_left(self) -> list[object]:
        """Processes, sockets, locks."""
        run = self.root / ".stack" / "run"
        assert self.door != self.root
        return [*self.processes(), *([self.door] if self.door.exists() else []), *run.iterdir()]


@pytest.fixture
def small(tmp_path: Path) -> Iterator[Stack]:
    with contextlib.closing(Stack(tmp_path.resolve())) as made:
        yield made


def test_up_returns_when_all_is_ready_and_down_leaves_nothing(small: Stack) -> None:
    said = small.run("up")
    assert {line.split()[0] for line in said.splitlines()} == {"bff", "transactions", "generator", "3"}
    assert {(row[0], row[3]) for row in small.ps().values()} == {("running", "yes")}
    assert "down: 4 processes ended" in small.run("down")  # the three and their supervisor
    assert small.has_left() == []
    assert "nothing is up" in small.run("down")
    assert "nothing is up; start this part alone with: make up ONLY=bff" in small.run(
        "restart", "bff", code=1
    )
    assert set(small.states().values()) == {"stopped"}


def test_a_folder_with_a_blank_an_accent_and_a_number_sign_is_like_any_other(tmp_path: Path) -> None:
    folder = tmp_path.resolve() / "pay ments é #1 100%"
    folder.mkdir()
    with contextlib.closing(Stack(folder)) as odd:
        odd.run("up")
        assert {(row[0], row[3]) for row in odd.ps().values()} == {("running", "yes")}
        assert "greeting: None" in odd.run("logs", "bff")
        odd.run("restart", "bff")
        odd.run("scale", "transactions", "2")
        assert "down: 5 processes ended" in odd.run("down")
        assert odd.has_left() == []


STUBBORN = (
    "python -uc 'import signal, time; signal.signal(15, signal.SIG_IGN); print(\"deaf\"); time.sleep(600)'\n"
)
STOPPED = "stopped; nothing is left running; data is kept\n"


def until_it_says(started: "subprocess.Popen[str]", words: str) -> None:
    """Read its output up to these words."""
    assert started.stdout
    for line in started.stdout:
        if words in line:
            return
    pytest.fail(f"it never said: {words}")


def until_there_are(small: Stack, count: int) -> None:
    deadline = time.monotonic() + 30
    while len(small.processes()) < count and time.monotonic() < deadline:
        time.sleep(0.05)
    small.remember_door()


def until_its_log_says(small: Stack, name: str, words: str) -> None:
    log, deadline = small.root / f".stack/logs/{name}.log", time.monotonic() + 20
    while not (log.exists() and words in log.read_text()):
        assert time.monotonic() < deadline, f"{name} does not say {words}"
        time.sleep(0.05)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
@pytest.mark.parametrize("moment", ["while it starts", "while it sends"])
def test_a_demo_that_is_broken_off_ends_all_it_has_started_and_says_so_once(
    small: Stack, number: signal.Signals, moment: str
) -> None:
    if moment == "while it starts":
        small.procfile(PROCFILE.replace("web.py 5001", "-c 'import time; time.sleep(600)'"))
    demo = small.begin("demo")
    if moment == "while it sends":
        until_it_says(demo, "sending 200 transactions")
    until_there_are(small, 3)
    demo.send_signal(number)
    said = demo.communicate(timeout=60)[0]
    assert demo.returncode == 130, said
    assert said.endswith(STOPPED)
    assert said.count("stopped") == 1
    assert "goes on" not in said
    assert "Traceback" not in said
    assert small.has_left() == []


def test_ctrl_c_again_while_a_demo_ends_kills_what_is_left_and_still_ends_everything(small: Stack) -> None:
    small.procfile(f"{PROCFILE}stubborn: {STUBBORN}")
    demo = small.begin("demo")
    until_there_are(small, 4)
    until_its_log_says(small, "stubborn", "deaf")
    demo.send_signal(signal.SIGINT)
    until_it_says(demo, "Ctrl-C again ends it by force")
    began = time.monotonic()
    for _ in range(5):
        demo.send_signal(signal.SIGINT)
        time.sleep(0.05)
    said = demo.communicate(timeout=60)[0]
    assert time.monotonic() - began < 12  # its own deadline would be 25 s
    assert "stubborn" in said
    assert "by force" in said
    assert said.endswith(STOPPED)
    assert small.has_left() == []


def test_ctrl_c_does_not_break_off_a_down(small: Stack) -> None:
    small.procfile(f"stubborn: {STUBBORN}")
    small.run("up")
    down = small.begin("down")
    time.sleep(1.5)
    down.send_signal(signal.SIGINT)
    said = down.communicate(timeout=60)[0]
    assert down.returncode == 0, said
    assert "2 processes ended (stubborn" in said
    assert small.has_left() == []


def test_sigterm_to_make_demo_leaves_nothing(small: Stack) -> None:
    make = subprocess.Popen(
        ["make", "-o", "setup", "demo"],
        cwd=REPOSITORY,
        env=small.environment,
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    )
    until_it_says(make, "sending 200 transactions")
    until_there_are(small, 3)
    make.terminate()
    said = make.communicate(timeout=60)[0]
    assert STOPPED in said
    assert small.has_left() == []


def test_a_demo_whose_reader_has_gone_ends_all_it_has_started(small: Stack) -> None:
    demo = small.begin("demo")
    until_there_are(small, 3)
    assert demo.stdout
    demo.stdout.close()
    demo.wait(60)
    assert small.has_left() == []


def test_a_killed_part_is_shown_and_stays_dead_until_it_is_started(small: Stack) -> None:
    small.run("up")
    before = small.ps()
    assert f"killed (pid {before['bff'][1]})" in small.run("kill", "bff")
    assert small.states() == {"bff": "killed", "transactions": "running", "generator": "running"}
    time.sleep(1.5)
    assert small.states()["bff"] == "killed"
    assert "bff does not run (killed)" in small.run("kill", "bff", code=1)
    assert "bff ready after" in small.run("start", "bff")
    after = small.ps()
    assert after["bff"][1] != before["bff"][1]
    assert after["transactions"] == before["transactions"]


def test_a_part_killed_by_other_means_is_shown_and_its_child_is_ended_too(small: Stack) -> None:
    small.procfile("bff: sh -c 'sleep 600 & exec python web.py 5001'\n")
    small.run("up")
    os.kill(small.pid("bff"), signal.SIGKILL)
    assert small.states()["bff"] == "killed"
    small.run("down")
    assert small.has_left() == []


def test_kill_pause_and_resume_reach_what_a_part_has_started(small: Stack) -> None:
    small.procfile("bff: sh -c 'sleep 600 & exec python web.py 5001'\n")
    small.run("up")
    children = [process for process in small.processes() if "sleep" in process.name()]
    small.run("pause", "bff")
    assert [child.status() for child in children] == [psutil.STATUS_STOPPED]
    small.run("kill", "bff")
    psutil.wait_procs(children, timeout=10)
    assert len(small.processes()) == 1


def test_up_starts_what_is_missing_and_touches_nothing_else(small: Stack) -> None:
    small.run("up")
    kept = small.pid("bff")
    small.run("kill", "transactions")
    assert "starting transactions\n" in small.run("up")
    assert small.pid("bff") == kept
    assert set(small.states().values()) == {"running"}


def test_a_paused_part_hangs_and_goes_on(small: Stack) -> None:
    small.run("up")
    pid = small.pid("bff")
    small.run("pause", "bff")
    assert psutil.Process(pid).status() == psutil.STATUS_STOPPED
    assert small.ps()["bff"] == ["paused", str(pid), "5001", "no"]
    assert "make resume NAME=bff" in small.run("up", code=1)
    small.run("resume", "bff")
    assert small.ps()["bff"] == ["running", str(pid), "5001", "yes"]


def test_a_paused_part_can_be_stopped_at_once(small: Stack) -> None:
    small.run("up")
    small.run("pause", "bff")
    small.run("stop", "bff")
    assert "SIGKILL" not in (small.root / ".stack" / "logs" / "supervisord.log").read_text()
    assert small.states()["bff"] == "stopped"
    small.run("pause", "transactions")
    assert "by force" not in small.run("down")


def test_a_restarted_part_is_another_process(small: Stack) -> None:
    small.run("up")
    before = small.pid("bff")
    small.run("restart", "bff")
    assert small.pid("bff") != before


def test_down_after_a_crash_ends_what_is_ours_and_spares_a_stranger(small: Stack) -> None:
    small.run("up")
    foreign = {"FAUST_PAYMENTS_STACK": "/another/stack", "PATH": os.environ["PATH"]}
    same = ["python", "-c", "import time; time.sleep(600)"]  # the generator's own command line
    with subprocess.Popen(same, executable=sys.executable, env=foreign) as stranger:
        try:
            small.crash()
            assert "left over" in small.run("ps")
            assert "the supervisor has crashed; make down" in small.run("stop", "bff", code=1)
            assert "processes ended" in small.run("down")
            assert small.has_left() == []
            assert stranger.poll() is None
        finally:
            stranger.kill()


def test_up_after_a_crash_begins_anew(small: Stack) -> None:
    small.run("up")
    small.crash()
    assert "left 3 processes" in small.run("up")
    assert set(small.states().values()) == {"running"}
    assert len(small.processes()) == 4


@pytest.mark.parametrize("crashed", [False, True])
def test_a_part_that_does_not_end_by_itself_is_made_to(small: Stack, crashed: bool) -> None:
    deaf = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print(1); time.sleep(600)"
    small.procfile(f'generator: python -c "{deaf}"\n')
    small.run("up")
    while "1" not in small.run("logs", "generator").splitlines():
        time.sleep(0.05)
    if crashed:
        small.crash()
    assert "(generator by force)" in small.run("down")
    assert small.has_left() == []


def test_a_port_in_use_is_reported_with_who_has_it_and_nothing_is_started(small: Stack) -> None:
    with socket.socket() as taken:
        taken.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        taken.bind((HOST, 5002))
        taken.listen()
        said = small.run("up", code=1)
    assert f"port 5002 on {HOST}, which transactions needs, is in use by pid {os.getpid()}" in said
    assert "5001" not in said
    assert small.processes() == []


def test_a_part_that_exits_is_reported_at_once_with_the_end_of_its_log(small: Stack) -> None:
    small.procfile("bff: python web.py 5001\ntransactions: python -c 'raise SystemExit(\"no luck today\")'\n")
    small.run("up", code=1)
    began = time.monotonic()
    said = small.run("up", code=1)
    assert time.monotonic() - began < 30  # and not after 180
    assert "transactions is not ready (exited 1); the end of its log" in said
    assert said.count("no luck today") == 1  # that of this start, not of the one before
    assert small.states()["bff"] == "running"


def test_the_reason_is_shown_also_when_a_long_farewell_follows_it(small: Stack) -> None:
    small.procfile('transactions: python -c \'print("ERROR: no disk"); print("bye\\n" * 100); exit(3)\'\n')
    said = small.run("up", code=1)
    assert "(exited 3)" in said
    assert "ERROR: no disk" in said
    assert said.count("bye") < 20


def test_what_a_worker_waits_for_is_reported_while_up_waits_for_it(small: Stack) -> None:
    said = "[x] [WARNING] Waiting for Kafka: no broker at 10.0.0.9:9092 answers"
    waits = f'echo "{said}"; sleep 1; echo "{said}"; sleep 1; echo bye; exit 3'
    small.procfile(f"bff: sh -c '{waits}'\n")
    published = small.run("up", code=1)
    assert published.splitlines()[0] == "bff: Waiting for Kafka: no broker at 10.0.0.9:9092 answers"
    assert published.count("bff: Waiting") == 1


def test_a_command_that_does_not_exist_is_reported(small: Stack) -> None:
    small.procfile("transactions: no-such-program\n")
    assert "cannot run no-such-program" in small.run("up", code=1)


def test_a_reader_that_has_seen_enough_gets_no_trace(small: Stack) -> None:
    started = small.begin("ps")
    assert started.stdout
    started.stdout.close()
    assert started.wait(60) == 0


def test_scale_adds_and_ends_workers_and_touches_no_other(small: Stack) -> None:
    small.run("up")
    before = small.ps()
    small.run("scale", "transactions", "2")
    grown = small.ps()
    assert grown.pop("transactions-2")[2:] == ["5012", "yes"]
    assert grown == before
    small.run("kill", "transactions-2")
    assert "starting transactions-2\n" in small.run("up")
    assert "starts: transactions-2" in small.run("logs", "transactions-2")
    small.run("scale", "transactions", "1")
    assert small.ps() == before


def test_two_ups_at_once_start_each_part_once(small: Stack) -> None:
    both = [small.begin("up"), small.begin("up")]
    said = [started.communicate(timeout=60)[0] for started in both]
    small.remember_door()
    assert [started.returncode for started in both] == [0, 0], said
    assert len(small.processes()) == 4


#: Holds the stack as an exercise does; runs the given command as its own and prints the result.
EXERCISE = """
import subprocess, sys
from infra.native import lockfile
with lockfile.held(for_long=True):
    print("at work", flush=True)
    for line in sys.stdin:
        done = subprocess.run([sys.executable, "-m", "infra.native", *line.split()], stdout=subprocess.DEVNULL)
        print("own command ended with", done.returncode, flush=True)
"""


@contextlib.contextmanager
def exercise(small: Stack) -> "Iterator[subprocess.Popen[str]]":
    """An exercise at work on this stack."""
    with subprocess.Popen(
        [sys.executable, "-c", EXERCISE],
        cwd=REPOSITORY,
        env=small.environment,
        text=True,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    ) as process:
        until_it_says(process, "at work")
        yield process
        process.kill()


@pytest.mark.parametrize(
    "command",
    ["up", "down", "clean", "demo", "scale transactions 2", "start bff", "stop bff", "restart bff",
     "kill bff", "pause bff", "resume bff"],
)  # fmt: skip
def test_a_command_typed_during_an_exercise_is_refused_and_names_the_holder(
    small: Stack, command: str
) -> None:
    small.run("up")
    before = small.ps()
    with exercise(small) as holder:
        said = small.run(*command.split(), code=1)
        assert said.startswith("the stack is in use by ")
        assert f"(pid {holder.pid}, since " in said
        assert said.count("\n") == 1
        assert small.ps() == before


def test_an_exercises_own_commands_are_let_in(small: Stack) -> None:
    small.run("up")
    with exercise(small) as holder:
        assert holder.stdin
        for command in ("kill bff", "scale transactions 2", "up"):
            print(command, file=holder.stdin, flush=True)
            until_it_says(holder, "own command ended with 0")
    assert small.states()["transactions-2"] == "running"
    small.run("kill", "bff")  # the exercise was killed, and its lock with it


def test_who_waits_for_another_up_is_shown_for_whom(small: Stack) -> None:
    small.procfile("bff: sh -c 'sleep 2; exec python web.py 5001'\n")
    first = small.begin("up")
    until_there_are(small, 2)
    said = small.run("kill", "bff")
    assert f"-m infra.native up (pid {first.pid}, since " in said.splitlines()[0]
    assert first.communicate(timeout=60)[0].endswith("end: make down\n")


def test_only_the_named_parts_are_started(small: Stack) -> None:
    small.run("up", "--only", "bff")
    assert small.states() == {"bff": "running", "transactions": "stopped", "generator": "stopped"}
    assert "the parts are: bff transactions generator" in small.run("up", "--only", "bbf", code=2)


def test_the_other_mode_takes_the_workers_place_and_leaves_the_rest(small: Stack) -> None:
    # `faust -A app.main worker` imports this app.main, which never gives control back
    (small.root / "app").mkdir()
    (small.root / "app" / "main.py").write_text(f"import sys; sys.argv = ['', '5001']\n{WEB}")
    small.run("up", "--only", "bff,transactions")
    said = small.run("up", "--mode", "combined", "--only", "main")
    assert "main ready" in said
    assert small.states() == {"main": "running", "generator": "stopped"}
    assert "ready already: main" in small.run("up")
    small.run("up", "--mode", "split")
    assert small.states() == {"bff": "running", "transactions": "running", "generator": "running"}


def test_a_part_is_started_with_the_environment_of_the_command_that_starts_it(small: Stack) -> None:
    small.run("up", GREETING="first")
    assert "greeting: first" in small.run("logs", "bff")
    small.run("kill", "bff")
    small.run("start", "bff", GREETING="second")
    assert "greeting: second" in small.run("logs", "bff")


def test_clean_forgets_data_and_logs(small: Stack) -> None:
    small.run("up")
    (small.root / ".stack" / "data").mkdir()
    small.run("clean")
    assert [path.name for path in (small.root / ".stack").iterdir()] == ["run"]
    assert small.has_left() == []


@pytest.mark.parametrize("command", ["stop", "start", "restart", "kill", "pause", "resume", "logs"])
def test_an_unknown_or_missing_name_is_answered_with_the_names(small: Stack, command: str) -> None:
    for name in ("", "radis"):
        assert small.run(command, name, code=2).endswith("the parts are: bff transactions generator\n")
