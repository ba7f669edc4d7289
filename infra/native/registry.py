"""The schema registry: Apicurio with its file storage, which answers the Confluent API."""

from infra.native.artifacts import registry_jar
from infra.native.java import java
from infra.native.paths import data
from infra.native.ports import endpoints


def command() -> list[str]:
    """The command that starts the registry."""
    endpoint = endpoints("registry")[0]
    settings = {
        "quarkus.http.host": endpoint.host,
        "quarkus.http.port": str(endpoint.port),
        "quarkus.log.level": "WARN",
        "apicurio.storage.kind": "sql",
        "apicurio.storage.sql.kind": "h2",
        "apicurio.datasource.url": f"jdbc:h2:file:{data('registry') / 'registry'}",
    }
    options = [f"-D{key}={value}" for key, value in settings.items()]
    return java("-Xmx256m", "-XX:TieredStopAtLevel=1", *options, "-jar", str(registry_jar()))
