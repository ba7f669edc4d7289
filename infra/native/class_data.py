"""A broker's classes as Java has them once they are loaded: with these a start takes half the processor time, 2.4 s.

Run by setup. Java makes such an archive when a program that has used the classes ends: so a broker is started once, and
ended. Java looks whether the archive is of the same installation and of the same jars; if not, it goes on without.
"""

import socket
import subprocess
import time
from pathlib import Path
from tempfile import TemporaryDirectory

from infra.native import kafka
from infra.native.paths import INFRA

READY_WITHIN, END_WITHIN = 60.0, 60.0  # seconds
CLUSTER = "c2V0dXAgb2YgY2xhc3Nlcw"  # any 16 bytes, as base64


def main() -> None:
    """Make the archive if it is missing; without it a start takes longer, and that is all."""
    archive = kafka.class_archive()
    if archive.exists():
        return
    print("kafka: loading the classes of a broker, once for all starts", flush=True)
    with TemporaryDirectory(prefix="kafka-", dir=archive.parent) as folder:
        made = _made(Path(folder))
        if made.exists():
            made.replace(archive)
        else:
            print("kafka: that failed; each start will take some seconds longer", flush=True)


def _made(folder: Path) -> Path:
    """Where the archive is, if starting and ending a broker has made one."""
    archive, settings = folder / "kafka.jsa", folder / "kafka.properties"
    client, controller = _free_ports(2)
    settings.write_text(
        (INFRA / "kafka" / "server.properties").read_text()
        + f"\nlisteners=PLAINTEXT://127.0.0.1:{client},CONTROLLER://127.0.0.1:{controller}\n"
        + f"controller.quorum.voters=1@127.0.0.1:{controller}\nlog.dirs={kafka.escaped(str(folder / 'kafka'))}\n"
    )
    with (folder / "kafka.log").open("wb") as log:
        subprocess.run(kafka.formatting(settings, CLUSTER), stdout=log, stderr=log, check=False)
        at_exit = f"-XX:ArchiveClassesAtExit={archive}"
        with subprocess.Popen(kafka.broker(settings, at_exit), stdout=log, stderr=log) as broker:
            try:
                _wait_until_it_listens(broker, client)
                broker.terminate()
                broker.wait(END_WITHIN)
            except subprocess.TimeoutExpired:
                archive.unlink(missing_ok=True)  # half of one
            finally:
                broker.kill()
    return archive


def _free_ports(count: int) -> list[int]:
    """Ports that nobody listens on; somebody may until they are used, and then there is no archive."""
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [one.getsockname()[1] for one in sockets]
    for one in sockets:
        one.close()
    return ports


def _wait_until_it_listens(broker: subprocess.Popen[bytes], port: int) -> None:
    ends = time.monotonic() + READY_WITHIN
    while broker.poll() is None and time.monotonic() < ends:
        try:
            socket.create_connection(("127.0.0.1", port), 1).close()
        except OSError:
            time.sleep(0.1)
        else:
            return


if __name__ == "__main__":
    main()
