"""OpenAPI 3.1, made of what each view says of itself (`operation`, beside its handler) and of the pydantic models.

The document has every view of the running app, so it can neither name one that is not there nor miss one that is.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar

from pydantic import BaseModel, TypeAdapter
from pydantic.json_schema import GenerateJsonSchema, models_json_schema

from app.web import request_id
from app.web.problem_types import ALL, BY_SLUG, ProblemType
from app.web.response_models import Problem
from app.web.tokens import ANY

#: In the order in which a reader meets them; every operation has one of them.
TAGS = {
    "transactions": "Post one, see what became of it, follow them all.",
    "system": "How the parts are, and what could not be processed.",
    "operation": "For whoever keeps the processes running.",
    "documents": "Pages and descriptions.",
}
#: Of the API, not of a release: it changes when a client has to.
VERSION = "1"
METHODS = ("get", "post", "put", "patch", "delete")
REFERENCE = "#/components/schemas/{model}"

#: Where calls need a token. An operation names the scope that it needs, as OpenAPI 3.1 has it for every kind of scheme.
SECURITY = {
    "bearer": {
        "type": "http",
        "scheme": "bearer",
        "description": "A token; each call names the scope it needs.",
    },
    "session": {
        "type": "apiKey",
        "in": "cookie",
        "name": "payments_session",
        "description": "For pages in a browser: the cookie of POST /api/v1/session.",
    },
}
OF_POSTS = ("foreign-origin",)
OF_TOKENS = ("unauthorized", "scope-missing", "too-many-requests")

F = TypeVar("F", bound=Callable[..., Any])


@dataclass(frozen=True, slots=True)
class Parameter:
    """One of a call: `type_` is what pydantic knows as a type, `where` is path, query or header."""

    name: str
    type_: Any
    description: str
    where: str = "query"

    def described(self) -> dict[str, Any]:
        """As OpenAPI has it."""
        schema = TypeAdapter(self.type_).json_schema(schema_generator=_Untitled)
        required = {"required": True} if self.where == "path" else {}
        return {
            "name": self.name,
            "in": self.where,
            "description": f"{self.description} {_limits(schema)}".strip(),
            **required,
            "schema": schema,
        }


@dataclass(frozen=True, slots=True)
class Answer:
    """An answer that is no problem. `content`: a model, whose JSON it is, or a media type; None: it has no body.

    `example` is a body as it comes, where the model or media type does not show it.
    """

    description: str
    content: type[BaseModel] | str | None = None
    headers: Mapping[str, str] = field(default_factory=dict)
    links: Mapping[str, Any] = field(default_factory=dict)
    example: Any = None


TAG = {"ETag": "Of this answer; send it as If-None-Match to be told whether there is another one."}
NOT_CHANGED = Answer("The client has it already.", headers=TAG)


@dataclass(frozen=True, slots=True)
class Operation:
    """What a client has to know of a call; `problems` are slugs of app.web.problem_types."""

    id: str
    summary: str
    answers: Mapping[int, Answer]
    problems: Sequence[str] = ()
    parameters: Sequence[Parameter] = ()
    body: type[BaseModel] | None = None
    tag: str = "transactions"
    description: str = ""
    #: What a token needs for it, of app.web.tokens; empty: it is for everybody.
    scope: str = ""


def operation(said: Operation) -> Callable[[F], F]:
    """What the decorated method of a view does."""

    def decorate(method: F) -> F:
        method.operation = said  # type: ignore[attr-defined]
        return method

    return decorate


def operations(views: Mapping[str, Any]) -> Iterable[tuple[str, str, Operation]]:
    """Path, method and operation of every method of these views (by path) that says what it does."""
    for path, view in sorted(views.items()):
        for method in METHODS:
            said = operation_of(view, method)
            if said is not None:
                yield re.sub(r":[^}]*}", "}", path), method, said


def operation_of(view: Any, method: str) -> Operation | None:
    """What a view's method says of itself; HEAD is a GET."""
    name = {"head": "get"}.get(method.lower(), method.lower())
    return getattr(getattr(view, name), "operation", None)


def document(views: Mapping[str, Any], *, with_tokens: bool = False) -> dict[str, Any]:
    """The whole document; `with_tokens`: where each call needs one."""
    found = list(operations(views))
    paths: dict[str, dict[str, Any]] = {}
    for path, method, said in found:
        described = _described(said, method, with_tokens and bool(said.scope))
        paths.setdefault(path, {})[method] = described
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Payments",
            "version": VERSION,
            "summary": "Takes transactions, scores each for fraud, shows their status.",
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "servers": [{"url": "/"}],
        "tags": [{"name": name, "description": text} for name, text in TAGS.items()],
        "paths": paths,
        "components": {
            "schemas": _schemas(said for _, _, said in found),
            "examples": {row.slug: _example(row) for row in ALL},
            **({"securitySchemes": SECURITY} if with_tokens else {}),
        },
    }


class _Untitled(GenerateJsonSchema):
    """Without the titles that only repeat the names of fields."""

    def field_title_should_be_set(self, schema: Any) -> bool:
        """Never."""
        return False


def _schemas(said: Iterable[Operation]) -> dict[str, Any]:
    models: dict[str, type[BaseModel]] = {Problem.__name__: Problem}
    for each in said:
        contents = [answer.content for answer in each.answers.values()]
        models |= {m.__name__: m for m in [*contents, each.body] if isinstance(m, type)}
    inputs = [(model, "validation") for _, model in sorted(models.items())]
    _, schemas = models_json_schema(inputs, ref_template=REFERENCE, schema_generator=_Untitled)  # type: ignore[arg-type]
    return dict(sorted(schemas["$defs"].items()))


def _limits(schema: Mapping[str, Any]) -> str:
    """The bounds and the default of a parameter, in words: not every reader of the document shows them."""
    said = []
    if "minimum" in schema and "maximum" in schema:
        said.append(f"{schema['minimum']:g} to {schema['maximum']:g}")
    if "maxLength" in schema:
        least = f"{schema['minLength']} to" if "minLength" in schema else "at most"
        said.append(f"{least} {schema['maxLength']} characters")
    if "default" in schema:
        said.append(f"default {schema['default']}")
    return f"({'; '.join(said)})" if said else ""


def _example(row: ProblemType) -> dict[str, Any]:
    """An answer with a problem; what `detail` says differs from one to the next."""
    problem = {"type": row.uri, "title": row.title, "status": row.status, "detail": row.meaning}
    error = {"error": f"{row.title}: {row.meaning}", "request_id": "0f3eaa5d79eb48bc"}
    return {"summary": f"{row.status} {row.title}", "value": {**problem, **error}}


def _described(said: Operation, method: str, needs_token: bool) -> dict[str, Any]:
    own_id = Parameter(request_id.HEADER, str, "An id for the log; the answer repeats it.", "header")
    found: dict[str, Any] = {
        "operationId": said.id,
        "tags": [said.tag],
        "summary": said.summary,
        "description": said.description,
        "parameters": [parameter.described() for parameter in (*said.parameters, own_id)],
    }
    if said.body is not None:
        found["requestBody"] = {"required": True, "content": _content(said.body)}
    answers = {str(status): _answer(answer) for status, answer in said.answers.items()}
    problems = [*(OF_TOKENS if needs_token else ()), *(OF_POSTS if method == "post" else ()), *said.problems]
    found["responses"] = dict(sorted((answers | _problems(problems)).items()))
    if needs_token:
        scopes = [] if said.scope == ANY else [said.scope]
        found["security"] = [{scheme: scopes} for scheme in SECURITY]
    return {key: value for key, value in found.items() if value not in ("", [])}


def _answer(answer: Answer) -> dict[str, Any]:
    headers = {request_id.HEADER: "The request's id, the client's own or a new one.", **answer.headers}
    found: dict[str, Any] = {
        "description": answer.description,
        "headers": {
            name: {"description": text, "schema": {"type": "string"}} for name, text in headers.items()
        },
    }
    if answer.content is not None:
        found["content"] = _content(answer.content)
        if answer.example is not None:
            found["content"][next(iter(found["content"]))]["example"] = answer.example
    if answer.links:
        found["links"] = dict(answer.links)
    return found


def _problems(slugs: Sequence[str]) -> dict[str, Any]:
    """By status: one status may mean several things, and the problem's `type` says which."""
    by_status: dict[int, list[ProblemType]] = {}
    for slug in ("malformed-request", *slugs, "too-many-connections", "internal-error"):
        row = BY_SLUG[slug]
        by_status.setdefault(row.status, []).append(row)
    found = {}
    for status, rows in by_status.items():
        headers = {"Retry-After": "Seconds to wait."} if status in (409, 429, 503) else {}
        text = "\n\n".join(f"[{row.title}]({row.uri}): {row.meaning}" for row in rows)
        found[str(status)] = _answer(Answer(text, "application/problem+json", headers))
        examples = {row.slug: {"$ref": f"#/components/examples/{row.slug}"} for row in rows}
        content = {"schema": _reference(Problem), "examples": examples}
        found[str(status)]["content"] = {"application/problem+json": content}
    return found


def _content(content: type[BaseModel] | str) -> dict[str, Any]:
    if isinstance(content, str):
        return {content: {"schema": {"type": "object" if content == "application/json" else "string"}}}
    return {"application/json": {"schema": _reference(content)}}


def _reference(model: type[BaseModel]) -> dict[str, str]:
    return {"$ref": REFERENCE.format(model=model.__name__)}
