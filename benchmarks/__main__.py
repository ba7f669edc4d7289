"""All benchmarks, one after another: `make bench`. Stack and data are theirs meanwhile; a user's come back at the end.

Each is a process of its own with its own bound: one that fails or does not end takes nothing from the others. It is
told as failed in the report, and the exit status is 1.
"""

import argparse
import os
import signal
import subprocess
import sys

from benchmarks import report, stage

#: Seconds beyond its bound: to start the stack and warm it up, and to say itself that it was not done.
BESIDE = 600.0
TO_END = 180.0  # what it has started is to be ended first, and what a user had stored put back


def main() -> int:
    """Run all; 0 if each is in the report with nothing wrong."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks", description=f"measures: {', '.join(report.MINUTES)}"
    )
    parser.add_argument("--quick", action="store_true", help="few and short, into .stack/benchmarks/")
    quick: bool = parser.parse_args().quick
    report.ends_in_order()
    with stage.for_all():
        failed = [name for name in report.MINUTES if not _run(name, quick)]
    print(f"\nthe report: {report.folder(quick) / 'report.md'}")
    if failed:
        print(f"failed or wrong: {', '.join(failed)}")
    return 1 if failed else 0


def _run(name: str, quick: bool) -> bool:
    """Whether it ended by itself, with nothing wrong; when it could not say otherwise, the report is told."""
    before = report.kept(report.folder(quick)).get(name)
    said = ["python", "-m", f"benchmarks.{name}", *(["--quick"] if quick else [])]
    process = subprocess.Popen([sys.executable, *said[1:]], start_new_session=True)
    try:
        status = process.wait(60 * report.MINUTES[name][quick] + BESIDE)
        why = f"ended with exit status {status}"
    except subprocess.TimeoutExpired:
        why = "neither done within its bound nor to be stopped by it: killed"
    finally:
        _end(process)
    if process.returncode and report.kept(report.folder(quick)).get(name) == before:
        report.report_failed(name, quick, " ".join(said), why)
    return process.returncode == 0


def _end(process: subprocess.Popen[bytes]) -> None:
    """With all that it has started; nothing when it has ended."""
    for how in (signal.SIGINT, signal.SIGKILL):
        if process.poll() is None:
            os.killpg(process.pid, how)
            try:
                process.wait(TO_END)
            except subprocess.TimeoutExpired:
                continue


if __name__ == "__main__":
    sys.exit(main())
