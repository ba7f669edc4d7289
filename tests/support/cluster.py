"""What a production cluster would have: the Secrets, and the files that each container finds.

Our scripts make them, and what stands in here for cert-manager and the operators.
"""

from __future__ import annotations

import json
import os
import re
import shlex
import ssl
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from infra.native.certificates import Pair, authority, certificate
from tests.support import kubernetes

PRODUCTION, DATA = kubernetes.OVERLAYS[0], kubernetes.NEIGHBOURS[kubernetes.OVERLAYS[0]]
#: By kind, namespace and name; then by key.
Objects = dict[tuple[str, str, str], dict[str, str]]

#: What trusted.sh calls: it answers from a file, as kubectl does from the cluster. (A path with a space can be in no
#: first line that names an interpreter.)
KUBECTL = f"""#!/bin/sh
exec {shlex.quote(sys.executable)} "$0.py" "$@"
"""
KUBECTL_PY = """
import json, re, sys
_, _, namespace, _, kind, name, _, template = sys.argv
key = re.search(r'index .data "(.+?)"', template)[1]
assert ("base64decode" in template) == (kind == "secret"), template
sys.stdout.write(json.load(open(__file__ + ".json"))[f"{kind} {namespace} {name}"][key])
"""


@dataclass(frozen=True)
class Cluster:
    """All Secrets, and the ConfigMaps that no manifest has."""

    folder: Path
    objects: Objects
    #: Of the certificates, by namespace and name of their Secret.
    pairs: dict[tuple[str, str], Pair]

    def files(self, overlay: str, name: str) -> dict[str, str]:
        """What the container of a workload finds on its read-only volumes: path and text."""
        workload = kubernetes.workloads(overlay)[name]
        volumes = {one["name"]: one for one in kubernetes.pod(workload)["volumes"]}
        found: dict[str, str] = {}
        for mount in kubernetes.container(workload)["volumeMounts"]:
            volume = volumes.get(mount["name"], {"emptyDir": {}})
            for path, text in self._of_volume(volume, overlay, workload["metadata"]["namespace"]):
                path = f"{mount['mountPath']}/{path}"
                assert path not in found, f"{path} comes from two sources"
                found[path] = text
        return found

    def _of_volume(self, volume: dict[str, Any], overlay: str, namespace: str) -> Iterator[tuple[str, str]]:
        for source in volume.get("projected", {}).get("sources", [volume]):
            for kind in {"secret", "configMap"} & source.keys():
                said = source[kind]
                name = said.get("name") or said["secretName"]
                rendered = kubernetes.of_kind(overlay, "ConfigMap") if kind == "configMap" else {}
                data = rendered[name]["data"] if name in rendered else self.objects[kind, namespace, name]
                for item in said.get("items", [{"key": key, "path": key} for key in data]):
                    yield item["path"], data[item["key"]]

    def environment(self, overlay: str, name: str) -> dict[str, str]:
        """A container's variables, with its files on this machine in place of those that they name."""
        found = kubernetes.environment(overlay, name)
        for path in self.files(overlay, name):
            found = {
                key: str(self.on_disk(overlay, name, path)) if value == path else value
                for key, value in found.items()
            }
        return found

    def on_disk(self, overlay: str, name: str, path: str) -> Path:
        """One of its files, on this machine."""
        place = self.folder / "containers" / name / path.lstrip("/")
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_text(self.files(overlay, name)[path])
        return place


def made(folder: Path) -> Cluster:
    """The scripts are run, and certificates made as the manifests ask."""
    objects: Objects = {}
    subprocess.run(["sh", str(kubernetes.FOLDER / "passwords.sh"), str(folder / "new")], check=True)
    for namespace in ("payments", "payments-data"):
        files = (folder / "new" / namespace).iterdir()
        objects["secret", namespace, "passwords"] = {file.name: file.read_text() for file in files}
    objects["secret", "payments", "bff-tokens"] = {"tokens": f"shop write {'0' * 64}\n"}
    pairs = {
        key: pair for overlay in (PRODUCTION, DATA) for key, pair in _certificates(overlay, folder).items()
    }
    for (namespace, name), pair in pairs.items():
        ca = pairs[namespace, "authority"].certificate
        texts = {"tls.crt": pair.certificate, "tls.key": pair.key, "ca.crt": ca}
        objects["secret", namespace, name] = {key: path.read_text() for key, path in texts.items()}
    # The operators' own.
    kafka, scylla = authority(folder, "strimzi"), authority(folder, "scylla-operator")
    objects["secret", "payments-data", "payments-cluster-ca-cert"] = {"ca.crt": kafka.certificate.read_text()}
    objects["configMap", "payments-data", "scylla-local-serving-ca"] = {
        "ca-bundle.crt": scylla.certificate.read_text()
    }
    objects["configMap", "payments", "trusted"] = {"ca.pem": _trusted(folder, objects)}
    pairs |= {("payments-data", "kafka"): kafka, ("payments-data", "scylla"): scylla}
    return Cluster(folder, objects, pairs)


def _certificates(overlay: str, folder: Path) -> dict[tuple[str, str], Pair]:
    found: dict[tuple[str, str], Pair] = {}
    wanted = kubernetes.of_kind(overlay, "Certificate")
    for name, one in sorted(wanted.items(), key=lambda item: not item[1]["spec"].get("isCA")):
        namespace, spec = one["metadata"]["namespace"], one["spec"]
        place = folder / namespace
        place.mkdir(exist_ok=True)
        hosts = spec.get("dnsNames", [f"nobody.{name}"])
        found[namespace, spec["secretName"]] = (
            authority(place, spec["commonName"])
            if spec.get("isCA")
            else certificate(found[namespace, "authority"], place, name, hosts=hosts)
        )
    return found


def _trusted(folder: Path, objects: Objects) -> str:
    """What trusted.sh says, with a kubectl that has these objects."""
    bin_ = folder / "bin"
    bin_.mkdir()
    (bin_ / "kubectl").write_text(KUBECTL)
    (bin_ / "kubectl").chmod(0o700)
    said = {f"{kind.lower()} {namespace} {name}": data for (kind, namespace, name), data in objects.items()}
    (bin_ / "kubectl.py").write_text(KUBECTL_PY)
    (bin_ / "kubectl.py.json").write_text(json.dumps(said))
    done = subprocess.run(
        ["sh", str(kubernetes.FOLDER / "trusted.sh")],
        env=os.environ | {"PATH": f"{bin_}:{os.environ['PATH']}"},
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout


def shell_blocks(text: str) -> list[str]:
    """The commands of a page."""
    return re.findall(r"```sh\n(.*?)```", text, re.DOTALL)


def handshake(client: ssl.SSLContext, server: ssl.SSLContext, host: str) -> None:
    """Both sides of a TLS connection, in memory; ssl.SSLError."""
    to_server, to_client = ssl.MemoryBIO(), ssl.MemoryBIO()
    asks = client.wrap_bio(to_client, to_server, server_hostname=host)
    answers = server.wrap_bio(to_server, to_client, server_side=True)
    open_ = [asks, answers]
    for _ in range(10):
        for side in list(open_):
            try:
                side.do_handshake()
                open_.remove(side)
            except ssl.SSLWantReadError:
                pass
    assert not open_
