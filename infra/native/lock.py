"""Resolve infra/*/jgo.toml again and write the jgo.lock.toml beside each: `python -m infra.native.lock`."""

import tempfile
from pathlib import Path

from jgo.env import EnvironmentSpec, LockedDependency, LockFile
from jgo.env._lockfile import compute_spec_hash
from jgo.maven import Dependency, MavenContext

from infra.native.paths import INFRA

# Natives for platforms on which the servers do not run.
OTHER_SYSTEMS = ("windows-x86_64", "linux-riscv64")
# Classifiers of a server that is one file with all that it needs, and what that file is.
WHOLE = {"all": "tar.gz", "exec": "jar"}


def lock(spec_path: Path) -> int:
    """Write the lock file of one environment; return the number of its artifacts."""
    spec = EnvironmentSpec.load(spec_path)
    with tempfile.TemporaryDirectory() as folder:
        context = MavenContext(repo_cache=Path(folder), timeout=60)
        locked = [LockedDependency.from_dependency(found) for found in resolve(context, spec.coordinates)]
    lockfile = LockFile(locked, environment_name=spec.name, spec_hash=compute_spec_hash(spec_path))
    lockfile.save(spec_path.with_name("jgo.lock.toml"))
    return len(locked)


def resolve(context: MavenContext, coordinates: list[str]) -> list[Dependency]:
    """The named artifacts and all that they depend on; a whole server is one file."""
    named = [context.create_dependency(coordinate) for coordinate in coordinates]
    if packaging := WHOLE.get(named[0].classifier):
        return [Dependency(named[0].artifact.component.artifact(named[0].classifier, packaging))]
    resolved, transitive = context.resolver.resolve(named)
    return [found for found in resolved + transitive if found.classifier not in OTHER_SYSTEMS]


if __name__ == "__main__":
    for path in sorted(INFRA.glob("*/jgo.toml")):
        print(f"{path.relative_to(INFRA)}: {lock(path)} artifacts")
