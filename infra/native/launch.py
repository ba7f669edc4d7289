"""Logs that a part starts, then becomes the part's own command.

Run by supervisord as a plain script; it imports nothing of ours, so it takes only milliseconds.
The command and the environment come from a file that `up` or `start` has just written; so
`make start NAME=antifraud-1 APPROVED_THRESHOLD=0.4` starts the part with that setting.
"""

import json
import os
import shlex
import sys
import time

MARK = "--- starts: "


def main(start_file: str) -> None:
    """Become the command that the file names."""
    with open(start_file) as file:
        start = json.load(file)
    now = time.strftime("%Y-%m-%d %H:%M:%S")
    print(f"{MARK}{start['name']}, {now}, pid {os.getpid()}", flush=True)  # the pid stays: exec keeps it
    command = shlex.split(start["command"])
    try:
        os.execvpe(command[0], command, start["environment"])  # noqa: S606 - the Procfile's command, no shell
    except OSError as error:
        sys.exit(f"cannot run {command[0]}: {error.strerror}")


if __name__ == "__main__":
    main(sys.argv[1])
