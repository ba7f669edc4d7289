"""The schema registry: Apicurio with its file storage, which answers the Confluent API."""

from infra.native.artifacts import registry_jar
from infra.native.java import java
from infra.native.paths import INFRA, data
from infra.native.ports import endpoints


def command() -> list[str]:
    """The command that starts the registry."""
    endpoint = endpoints("registry")[0]
    file = data("registry") / "registry"
    settings = {
        "smallrye.config.locations": (INFRA / "registry" / "registry.properties").as_uri(),
        "quarkus.http.host": endpoint.host,
        "quarkus.http.port": str(endpoint.port),
        # Write before answering: by default H2 waits half a second, and a registry killed in that time would lose
        # a schema whose id is in records already, and give that id to another schema.
        "apicurio.datasource.url": f"jdbc:h2:file:{file};WRITE_DELAY=0",
    }
    options = [f"-D{key}={value}" for key, value in settings.items()]
    return java("-Xmx256m", "-XX:TieredStopAtLevel=1", *options, "-jar", str(registry_jar()))
