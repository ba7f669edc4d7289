"""What several unit tests begin with."""

from __future__ import annotations

import pytest

from infra.native.certificates import Pair, authority, certificate
from tests.support import cluster as clusters


@pytest.fixture(scope="session")
def made(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Pair]:
    """By name: an authority, another one, certificates of the first; `elsewhere` is for an address that is not ours."""
    folder = tmp_path_factory.mktemp("certificates")
    ours = authority(folder)
    return {
        "authority": ours,
        "another": authority(folder, "another"),
        **{name: certificate(ours, folder, name) for name in ("server", "renewed", "client")},
        "expired": certificate(ours, folder, "expired", days=-1),
        "elsewhere": certificate(ours, folder, "elsewhere", hosts=["127.0.0.77"]),
    }


@pytest.fixture(scope="session")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> clusters.Cluster:
    """The Secrets of a production cluster, and what each container of it finds in its files."""
    return clusters.made(tmp_path_factory.mktemp("cluster"))
