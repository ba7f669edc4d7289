"""What the client libraries log, without what an outage makes them say: app.health says that in one line.

aiokafka and Cassandra's driver log each failed try of each connection. So an error of theirs waits until it is known
how the neighbour was just before and after it; one from a time in which all was well is news, and goes on to the log.
"""

from __future__ import annotations

import logging
import time
from collections import deque

#: Whose logger speaks of which neighbour.
DEPENDENCIES = {"aiokafka": "kafka", "cassandra": "cassandra"}
#: Seconds before and after an error in which its neighbour must have been well: a look finds an outage within less.
AROUND = 5.0
#: Seconds for which the same message is not repeated.
SAME_AFTER = 60.0
HELD_MOST = 1000

Message = tuple[str, str]


class LibraryLogs(logging.Handler):
    """Holds the libraries' errors; `look` says how the neighbours are and lets go what is news."""

    def __init__(self) -> None:
        super().__init__(logging.ERROR)
        self._held: deque[tuple[float, str, logging.LogRecord]] = deque(maxlen=HELD_MOST)
        self._unwell: dict[str, float] = dict.fromkeys(DEPENDENCIES.values(), time.monotonic())
        self._passed_on: dict[Message, float] = {}

    def install(self) -> None:
        """Take over the libraries' loggers."""
        for name in DEPENDENCIES:
            library = logging.getLogger(name)
            library.setLevel(self.level)
            library.handlers, library.propagate = [self], False

    def emit(self, record: logging.LogRecord) -> None:
        """Hold it. Any thread."""
        self._held.append((time.monotonic(), record.name.partition(".")[0], record))

    def look(self, unwell: set[str]) -> None:
        """At this moment these neighbours are not as they should be."""
        now = time.monotonic()
        self._unwell |= dict.fromkeys(unwell, now)
        while self._held and now - self._held[0][0] >= AROUND:
            at, library, record = self._held.popleft()
            if at - self._unwell[DEPENDENCIES[library]] >= AROUND and self._is_new(record, now):
                logging.getLogger().handle(record)

    def _is_new(self, record: logging.LogRecord, now: float) -> bool:
        message = (record.name, str(record.msg))
        if now - self._passed_on.get(message, -SAME_AFTER) < SAME_AFTER:
            return False
        self._passed_on = {one: at for one, at in self._passed_on.items() if now - at < SAME_AFTER}
        self._passed_on[message] = now
        return True
