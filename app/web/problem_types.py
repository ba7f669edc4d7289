"""What an error's `type` leads to: one row per type, from which its page at /problems/<slug> is rendered.

A type is known by its title, so whoever answers with a new title adds a row here (a test looks at every call).
"""

from __future__ import annotations

from dataclasses import dataclass

PATH = "/problems"

RETRY = "Wait as many seconds as Retry-After says, then try again; wait longer after each further try."
SAME_KEY = (
    "Send it again with the Idempotency-Key that it had: the same key and body are one transaction. "
    "Without a key, look in the list whether it is there before you send it again."
)


@dataclass(frozen=True, slots=True)
class ProblemType:
    """`title` is as answers have it, `meaning` and `remedy` are whole sentences for whoever wrote the client."""

    slug: str
    title: str
    status: int
    meaning: str
    remedy: str

    @property
    def uri(self) -> str:
        """The value of `type`: relative, since only the client knows by which name it reached us."""
        return f"{PATH}/{self.slug}"


#: What the views answer.
OF_VIEWS = (
    ProblemType(
        "invalid-request",
        "Invalid request payload",
        400,
        "The body, a parameter or a header is not as the description of the call has it. Nothing was taken.",
        "Read errors: each entry names a field and what is wrong with it. The same request will be refused again.",
    ),
    ProblemType(
        "transaction-not-found",
        "Not found",
        404,
        "There is no transaction with this id. It is never said of an id that was answered with 201.",
        "Check the id: the 201 of a POST has it, and each entry of the list.",
    ),
    ProblemType(
        "too-many-listeners",
        "Too many listeners",
        503,
        "As many clients listen to the events as this process serves (setting MAX_EVENT_CLIENTS).",
        "Come back later, as browsers do by themselves; or read the list.",
    ),
    ProblemType(
        "too-many-connections",
        "Too many connections",
        503,
        "As many connections are open as this process serves (setting MAX_CONNECTIONS). The request was not read.",
        RETRY + " Close connections that are not used.",
    ),
    ProblemType(
        "log-unavailable",
        "Log unavailable",
        503,
        "Kafka does not answer. What was acknowledged is in it and will be there when it does.",
        RETRY,
    ),
    ProblemType(
        "unauthorized",
        "Unauthorized",
        401,
        "The call needs a token, and none came with it, or one that is not known here (any more). Nothing was done.",
        "Send the header Authorization: Bearer <token>. Whoever runs this bff gives tokens out.",
    ),
    ProblemType(
        "scope-missing",
        "Scope missing",
        403,
        "The token is known, and may not make this call: the detail names the scope that it lacks. Nothing was done.",
        "Ask whoever runs this bff for a token with that scope.",
    ),
    ProblemType(
        "too-many-requests",
        "Too many requests",
        429,
        "The token has made as many requests as it may (settings RATE_LIMIT, RATE_LIMIT_BURST). Nothing was done.",
        RETRY,
    ),
    ProblemType(
        "foreign-origin",
        "Foreign origin",
        403,
        "A page of another site had the browser make a call that changes something. Nothing was done.",
        "Make the call from a page of the bff itself, or from a program; or name the page's origin in CORS_ORIGINS.",
    ),
    ProblemType(
        "dead-letter-not-found",
        "No such dead letter",
        404,
        "None of the newest dead letters has this id.",
        "Read the list again. Older ones are sent back by the command: make dead-letters SEND=<id>.",
    ),
    ProblemType(
        "dead-letter-not-whole",
        "Cannot be sent back",
        409,
        "It holds only the beginning of its record, or a batch that nobody can read.",
        "The whole record is in its source topic, at the offset that the dead letter names.",
    ),
    ProblemType(
        "send-back-in-progress",
        "Already sending back",
        409,
        "Another call sends dead letters back at this moment.",
        RETRY,
    ),
    ProblemType(
        "idempotency-key-in-progress",
        "In progress",
        409,
        "Another call with the same Idempotency-Key is at work, or the process that had it died moments ago.",
        RETRY,
    ),
    ProblemType(
        "idempotency-key-reused",
        "Idempotency-Key was used before",
        422,
        "The same Idempotency-Key came with another body within 24 hours. Nothing was taken by this call.",
        "Make a new key for each new transaction, and repeat a call byte for byte.",
    ),
    ProblemType(
        "internal-error",
        "Internal error",
        500,
        "A bug. The log has it under the answer's request_id.",
        "Report the request_id. " + SAME_KEY,
    ),
    ProblemType(
        "not-acknowledged",
        "Not acknowledged",
        503,
        "Kafka did not acknowledge the transaction in time. The detail says whether it was certainly not taken, or "
        "whether that is not known.",
        SAME_KEY,
    ),
    ProblemType(
        "label-not-acknowledged",
        "Label not acknowledged",
        503,
        "Kafka did not acknowledge the label in time. The detail says whether it was certainly not taken, or whether "
        "that is not known.",
        "Wait as many seconds as Retry-After says, then send the same label again: given twice, it counts once.",
    ),
    ProblemType(
        "idempotency-store-unavailable",
        "Idempotency store unavailable",
        503,
        "Cassandra does not answer, so nobody can say whether this Idempotency-Key was used before. "
        "Nothing was taken by this call.",
        "Wait as many seconds as Retry-After says, then send it again with the same key.",
    ),
    ProblemType(
        "read-model-unavailable",
        "Read model unavailable",
        503,
        "No store can answer now, or the transaction may be on its way into one: what was acknowledged is in the log "
        "and will be shown.",
        RETRY,
    ),
    ProblemType(
        "not-alive",
        "Not alive",
        503,
        "The process has work and makes no progress; the reason says where.",
        "For operators: look at the log, then restart the process. Nothing is lost by it.",
    ),
    ProblemType(
        "not-ready",
        "Not ready",
        503,
        "The process cannot do its work with its dependencies as they are; parts has a word for each.",
        "For operators: bring back what is not ok. For load balancers: ask another instance.",
    ),
)

#: What the web server refuses before a view is asked: by status, since HTTP's own titles differ between versions.
OF_SERVER = (
    ProblemType(
        "malformed-request",
        "Bad request",
        400,
        "What arrived is not HTTP, its headers are too large, or its body ended early or is not what its headers say.",
        "Look at what your HTTP client or a proxy in between really sends. Ids and cursors are at most a few "
        "hundred characters long.",
    ),
    ProblemType(
        "no-such-path",
        "Not Found",
        404,
        "Nothing is served at this path.",
        "Compare it with the paths in /openapi.json; /docs shows them.",
    ),
    ProblemType(
        "method-not-allowed",
        "Method Not Allowed",
        405,
        "The path exists, and the method is not one of its own.",
        "Use one that the header Allow names.",
    ),
    ProblemType(
        "body-too-late",
        "Request Timeout",
        408,
        "The body did not arrive in time. Nothing was taken.",
        "Send the body at once, then try again.",
    ),
    ProblemType(
        "body-too-large",
        "Request Entity Too Large",
        413,
        "The body is larger than a transaction can be. Nothing was taken.",
        "Leave out what is not one of a transaction's fields, and shorten the description.",
    ),
    ProblemType(
        "expectation-failed",
        "Expectation Failed",
        417,
        "The header Expect asks for something other than 100-continue.",
        "Leave the header out.",
    ),
)

#: For what no row above says more about: the HTTP status is all there is to know.
OTHER = ProblemType(
    "refused",
    "Refused",
    400,
    "The web server refused the request; its status code is the standard one of HTTP.",
    "Look up the status code, and quote the request_id if it does not explain itself.",
)

ALL = (*OF_VIEWS, *OF_SERVER, OTHER)
BY_SLUG = {type_.slug: type_ for type_ in ALL}
_BY_TITLE = {type_.title: type_ for type_ in ALL}
_BY_STATUS = {type_.status: type_ for type_ in OF_SERVER}


def type_of(status: int, title: str) -> ProblemType:
    """The row of an answer."""
    return _BY_TITLE.get(title) or _BY_STATUS.get(status, OTHER)
