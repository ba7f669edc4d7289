"""The schema registry: Apicurio with its file storage, which answers the Confluent API."""

from pathlib import Path

from infra.native import secure
from infra.native.artifacts import registry_jar
from infra.native.java import QUICK_COMPILER, java
from infra.native.paths import INFRA, data, run
from infra.native.ports import endpoints


def command() -> list[str]:
    """The command that starts the registry."""
    endpoint = endpoints("registry")[0]
    file = data("registry") / "registry"
    files = [INFRA / "registry" / "registry.properties", *([_users()] if secure.is_on() else [])]
    settings = {
        "smallrye.config.locations": ",".join(file.as_uri() for file in files),
        "quarkus.http.host": endpoint.host,
        "quarkus.http.port": str(endpoint.port),
        # Write before answering: by default H2 waits half a second, and a registry killed in that time would lose
        # a schema whose id is in records already, and give that id to another schema.
        "apicurio.datasource.url": f"jdbc:h2:file:{file};WRITE_DELAY=0",
    }
    if secure.is_on():
        settings |= _secured(endpoint.port)
    options = [f"-D{key}={value}" for key, value in settings.items()]
    return java("-Xmx256m", QUICK_COMPILER, *options, "-jar", str(registry_jar()))


def _secured(port: int) -> dict[str, str]:
    """TLS and nothing else on its port."""
    pair = secure.server()
    return {
        "quarkus.http.insecure-requests": "disabled",
        "quarkus.http.ssl-port": str(port),
        "quarkus.http.ssl.certificate.files": str(pair.certificate),
        "quarkus.http.ssl.certificate.key-files": str(pair.key),
    }


def _users() -> Path:
    """Its one user: in a file, since anybody sees a process's words."""
    path, users = run() / "registry-users.properties", "quarkus.security.users.embedded"
    lines = (
        "quarkus.http.auth.basic=true",  # it logs that this comes too late, and does it
        "quarkus.http.auth.permission.all.paths=/*",
        "quarkus.http.auth.permission.all.policy=authenticated",
        f"{users}.plain-text=true",
        f"{users}.users.{secure.USER}={secure.password('registry')}",
        f"{users}.roles.{secure.USER}=user",
    )
    secure.write_private(path, "\n".join(lines))
    return path
