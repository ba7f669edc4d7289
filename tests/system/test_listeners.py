"""No process of the stack can be reached from another machine, unless a setting says so."""

from __future__ import annotations

import ipaddress

import psutil

from infra.native import processes, stack


def listening(pid: int) -> set[str]:
    """The addresses a process and its children listen on."""
    one = psutil.Process(pid)
    family = [one, *one.children(recursive=True)]
    found = [c for p in family for c in p.net_connections("tcp") if c.status == psutil.CONN_LISTEN]
    return {f"{c.laddr.ip}:{c.laddr.port}" for c in found}


def is_loopback(address: str) -> bool:
    ip = ipaddress.ip_address(address.rsplit(":", 1)[0])
    return ip.is_loopback or bool(getattr(ip, "ipv4_mapped", None) and ip.ipv4_mapped.is_loopback)  # type: ignore[union-attr]


def test_every_process_listens_only_on_loopback() -> None:
    pids = {name: stack.pid(name) for name in processes.states()}
    found = {name: listening(pid) for name, pid in pids.items() if pid}
    assert {"kafka", "registry", "redis", "envoy", "bff"} & set(found), found
    assert [f"{name} {one}" for name, all_ in found.items() for one in all_ if not is_loopback(one)] == []
    assert len([one for all_ in found.values() for one in all_]) >= 10
