"""`make sbom`: all that runs, as CycloneDX: the locked Python packages, jars and servers, and what the pages load.

From the locks alone, with the hash of each file that may be installed; licences as the Python packages state them.
"""

from __future__ import annotations

import hashlib
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

from cyclonedx.model import HashAlgorithm, HashType, Property
from cyclonedx.model.bom import Bom
from cyclonedx.model.component import Component, ComponentType
from cyclonedx.model.license import DisjunctiveLicense
from cyclonedx.output.json import JsonV1Dot6
from packageurl import PackageURL

from infra import licences
from infra.licences import ROOT

PATH = ROOT / "sbom.cdx.json"
#: Lock -> what its packages are for.
PYTHON = {
    "infra/image/app.lock": "app",
    "infra/image/antifraud.lock": "antifraud",
    "infra/native/servers.lock": "servers",
    "requirements.lock": "development and tests",
}
JARS = ("kafka", "cassandra", "registry", "zipkin")
#: What the live page and the page of the documentation load, from this repository.
PAGES = {
    ("preact", "11.2.0"): ("static/vendor/preact.mjs", "static/vendor/hooks.mjs"),
    ("htm", "3.1.1"): ("static/vendor/htm.mjs",),
    ("swagger-ui-dist", "5.35.0"): ("docs/swagger-ui/swagger-ui-bundle.js", "docs/swagger-ui/swagger-ui.css"),
}


def components() -> Iterator[Component]:
    """Each once, with what it is for."""
    seen = set[tuple[str, str]]()
    for lock, use in PYTHON.items():
        for name, version, hashes in licences.packages(ROOT / lock):
            if (name, version) not in seen:
                seen.add((name, version))
                yield _component(PackageURL("pypi", None, name, version), use, hashes, licences.of(name))
    for server in JARS:
        jars = tomllib.loads((ROOT / "infra" / server / "jgo.lock.toml").read_text())["dependencies"]
        for jar in jars:
            url = PackageURL("maven", jar["groupId"], jar["artifactId"], jar["version"])
            if (str(url), server) not in seen:
                seen.add((str(url), server))
                yield _component(url, server, [jar["sha256"]], licences.UNKNOWN)

    for (name, version), files in PAGES.items():
        hashes = [hashlib.sha256((ROOT / "app" / "web" / file).read_bytes()).hexdigest() for file in files]
        yield _component(PackageURL("npm", None, name, version), "pages", hashes, licences.UNKNOWN)


def _component(url: PackageURL, use: str, hashes: list[str], licence: str) -> Component:
    return Component(
        type=ComponentType.LIBRARY,
        group=url.namespace,
        name=url.name,
        version=url.version,
        purl=url,
        bom_ref=f"{url}#{use}",
        hashes=[HashType(alg=HashAlgorithm.SHA_256, content=one) for one in hashes],
        licenses=[] if licence == licences.UNKNOWN else [DisjunctiveLicense(name=licence)],
        properties=[Property(name="payments:use", value=use)],
    )


def text() -> str:
    """The document."""
    found = list(components())
    root = Component(type=ComponentType.APPLICATION, name="faust-payments", bom_ref="faust-payments")
    bom = Bom(components=found)
    bom.metadata.component = root
    bom.register_dependency(root, found)
    return JsonV1Dot6(bom).output_as_string(indent=2)


def main() -> None:
    """Write it."""
    written = Path(sys.argv[1]) if len(sys.argv) > 1 else PATH
    written.write_text(text() + "\n")
    print(f"{written.name}: {len(list(components()))} components")


if __name__ == "__main__":
    main()
