"""A service: a table of routes, and the way each request takes through it.

    route → version → token → role → body → handler → answer

The table is data (`Service.routes`), so that tests and documents can be made from it.
"""

from __future__ import annotations

import asyncio
import re
import time
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable
from contextvars import ContextVar
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal
from urllib.parse import parse_qs

import msgspec
import structlog
from structlog.contextvars import STRUCTLOG_KEY_PREFIX

from cyclades.api.http import bodies
from cyclades.api.http.bodies import Body, Schema
from cyclades.api.http.errors import BodyOf, CodeOf, HttpRefusal
from cyclades.api.http.once import check_key
from cyclades.api.http.request import Request
from cyclades.api.http.versions import Version, Versions
from cyclades.config import Settings
from cyclades.model.errors import Forbidden, Invalid, Refusal, TooMany, Unauthorized
from cyclades.monitoring.metrics import Metrics
from cyclades.security.keys import Keys
from cyclades.security.logins import Logins
from cyclades.security.tokens import Claims, Tokens
from cyclades.store.database import Database

log = structlog.get_logger("cyclades.api")

# Who may use a route: anybody, whoever has a token, a role in the token's project (a reader reads), an admin.
Who = Literal["anyone", "token", "reader", "member", "admin"]
Headers = list[tuple[bytes, bytes]]

_PROJECT = re.compile(r"/([0-9a-f]{32}|[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12})(?=/|$)")
_PARAMETER = re.compile(r"\{(\w+)(:path)?\}")
_LONGEST_ID = 255
# On each line that a handler has logged: as `bind_contextvars` does it, at a hundredth of its cost.
_LOGGED_ID: ContextVar[str] = ContextVar(f"{STRUCTLOG_KEY_PREFIX}request_id")
_LOGGED_PROJECT: ContextVar[str | None] = ContextVar(f"{STRUCTLOG_KEY_PREFIX}project")
_encode = msgspec.json.Encoder().encode


@dataclass
class Answer:
    """An answer that is not simply a route's status with JSON. `stream` wins over `content`."""

    status: int
    content: Any = None
    headers: dict[str, str] | None = None
    raw: bytes | None = None
    stream: AsyncIterator[bytes] | None = None
    media: str = "application/json"


Handler = Callable[[Request], Awaitable[Any]]


@dataclass(frozen=True)
class Route:
    """`action` is the one key of the body that chooses this route (`POST …/action`). `since` and `until` bound
    the microversions that have it. `streams` leaves the body to the handler. The rest is for its document alone:
    `answer` is the schema of what it answers in the newest version, None if that is empty; `query` has a schema for
    each parameter of its query string, `headers` for each of its own headers; `media` is its body's content type, and
    `also` are status codes that others do not have."""

    method: str
    path: str
    handler: Handler
    who: Who
    status: int
    body: Body | None
    action: str | None
    since: Version | None
    until: Version | None
    streams: bool
    answer: Schema | None
    query: Schema
    headers: Schema
    media: str
    also: tuple[int, ...]

    @cached_property
    def label(self) -> str:
        """Its path's template, with the action."""
        return self.path if self.action is None else f"{self.path} {self.action}"

    def has(self, version: Version) -> bool:
        return (self.since is None or version >= self.since) and (self.until is None or version <= self.until)


@dataclass(frozen=True)
class Shared:
    """What all services of a process work with. Only Identity needs `logins`. `engine_lives` is for a process that has
    an engine, too."""

    db: Database
    settings: Settings
    keys: Keys
    tokens: Tokens
    logins: Logins | None = None
    engine_lives: Callable[[], bool] | None = None
    metrics: Metrics | None = None


class Service:
    """`prefix` is where it is mounted. `versions` is None for a service without microversions. With `project_in_url`,
    the first part of a path may be the project's id, as older clients have it."""

    def __init__(
        self,
        name: str,
        prefix: str,
        *,
        versions: Versions | None,
        code_of: CodeOf,
        body_of: BodyOf,
        project_in_url: bool = False,
    ) -> None:
        self.name, self.prefix, self.versions = name, prefix, versions
        self.code_of, self.body_of = code_of, body_of
        self._project_in_url = project_in_url
        self.routes: list[Route] = []
        self._exact: dict[str, list[Route]] = {}
        self._patterns: dict[int, list[tuple[re.Pattern[str], list[Route]]]] = {}

    def route(
        self,
        method: str,
        path: str,
        *,
        who: Who,
        status: int = 200,
        body: Body | None = None,
        action: str | None = None,
        since: str | None = None,
        until: str | None = None,
        streams: bool = False,
        answer: Schema | None = None,
        query: Schema | None = None,
        headers: Schema | None = None,
        media: str = "application/json",
        also: tuple[int, ...] = (),
    ) -> Callable[[Handler], Handler]:
        """Add a handler to the table. It returns what becomes JSON, None for an empty body, or an `Answer`."""

        def add(handler: Handler) -> Handler:
            route = Route(
                method=method,
                path=path,
                handler=handler,
                who=who,
                status=status,
                body=body,
                action=action,
                since=_version(since),
                until=_version(until),
                streams=streams,
                answer=answer,
                query=query or {},
                headers=headers or {},
                media=media,
                also=also,
            )
            self.routes.append(route)
            self._place(route)
            return handler

        return add

    def _place(self, route: Route) -> None:
        if "{" not in route.path:
            self._exact.setdefault(route.path, []).append(route)
            return
        form = re.compile(_PARAMETER.sub(lambda m: f"(?P<{m[1]}>{'.+' if m[2] else '[^/]+'})", route.path))
        depth = -1 if ":path}" in route.path else route.path.count("/")
        for pattern, routes in self._patterns.setdefault(depth, []):
            if pattern.pattern == form.pattern:
                routes.append(route)
                return
        self._patterns[depth].append((form, [route]))

    def find(self, path: str) -> tuple[list[Route], dict[str, str]]:
        """The routes of a path, whatever their method, and the ids in it."""
        if (exact := self._exact.get(path)) is not None:
            return exact, {}
        for depth in (path.count("/"), -1):
            for pattern, routes in self._patterns.get(depth, ()):
                if (match := pattern.fullmatch(path)) is not None:
                    return routes, match.groupdict()
        return [], {}

    def asgi(self, shared: Shared) -> Callable[..., Awaitable[None]]:
        """The service as an ASGI application; it sees paths without its prefix."""

        async def application(scope: Any, receive: Any, send: Any) -> None:
            await _Exchange(self, shared, scope, receive, send).run()

        return application


class _Exchange:
    """One request and its answer."""

    def __init__(self, service: Service, shared: Shared, scope: Any, receive: Any, send: Any) -> None:
        self.service, self.shared = service, shared
        self.scope, self.receive, self.send = scope, receive, send
        self.request_id = f"req-{uuid.uuid4()}"
        self.headers = {key.decode("latin-1"): value.decode("latin-1") for key, value in scope["headers"]}
        self.version: Version | None = None
        self.claims: Claims | None = None
        self.route = ""  # as it is counted

    async def run(self) -> None:
        start = time.monotonic()
        try:
            answer = await self._answer()
        except Refusal as refusal:
            answer = self._refused(refusal)
        except Exception:
            log.exception("request.unexpected", request_id=self.request_id, path=self.scope["path"])
            text = f"Something went wrong inside the server; request {self.request_id} has the details in its log."
            answer = Answer(500, self.service.body_of(500, text))
        found = time.monotonic() - start
        try:
            await self._send(answer)
        finally:
            seconds = time.monotonic() - start
            self._log(answer.status, seconds)
            self._count(answer.status, seconds if answer.stream is None else found)

    async def _answer(self) -> Answer:
        service = self.service
        path, project = self._path()
        routes, ids = service.find(path)
        if not routes:
            raise HttpRefusal(404, "The resource could not be found.")
        if any(len(value) > _LONGEST_ID or "\0" in value for value in ids.values()):
            raise HttpRefusal(404, "The resource could not be found.")
        method = self.scope["method"]
        of_method = [route for route in routes if route.method == method] or (
            [route for route in routes if route.method == "GET"] if method == "HEAD" else []
        )
        if not of_method:
            allowed = ", ".join(sorted({route.method for route in routes}))
            raise HttpRefusal(405, f"{method} is not a method of {path}; {allowed} is.", headers={"Allow": allowed})
        self.route = of_method[0].path
        request = self._request(path, project, ids)
        if any(route.who != "anyone" for route in of_method) or "x-auth-token" in self.headers:
            self.claims = request.claims = self._claims(optional=all(route.who == "anyone" for route in of_method))
        if project is not None:
            self._check_project(project)
        return await self._handle(of_method, request)

    def _path(self) -> tuple[str, str | None]:
        path: str = self.scope["path"][len(self.scope.get("root_path", "")) :] or "/"
        if self.service._project_in_url and (match := _PROJECT.match(path)) is not None:
            return path[match.end() :] or "/", match[1]
        return path, None

    def _request(self, path: str, project: str | None, ids: dict[str, str]) -> Request:
        service = self.service
        version = Version(0, 0)
        if service.versions is not None:
            legacy = self.headers.get(service.versions.legacy) if service.versions.legacy else None
            chosen = service.versions.chosen(self.headers.get("openstack-api-version"), legacy)
            if chosen is None:
                asked = self.headers.get("openstack-api-version") or legacy
                raise HttpRefusal(
                    406,
                    f"Version {asked!r} is not supported by the API. "
                    f"Minimum is {service.versions.least} and maximum is {service.versions.most}.",
                )
            self.version = version = chosen
        client = self.scope.get("client")
        return Request(
            db=self.shared.db,
            settings=self.shared.settings,
            keys=self.shared.keys,
            tokens=self.shared.tokens,
            logins=self.shared.logins,
            service=service,
            version=version,
            method=self.scope["method"],
            path=path,
            ids=ids,
            query=_query(self.scope["query_string"]),
            headers=self.headers,
            request_id=self.request_id,
            peer=client[0] if client else "",
            project_in_url=project,
        )

    def _claims(self, *, optional: bool) -> Claims | None:
        token = self.headers.get("x-auth-token")
        if not token:
            if optional:
                return None
            raise Unauthorized("token-missing", "The request you have made requires authentication.")
        try:
            return self.shared.tokens.check(token)
        except Unauthorized:
            if optional:
                return None
            raise

    def _check_project(self, project: str) -> None:
        """A project in the URL must be the token's; an admin's token may name any."""
        claims = self.claims
        if claims is None or (claims.project_id != project and "admin" not in claims.roles):
            raise HttpRefusal(404, "The resource could not be found.")

    async def _handle(self, routes: list[Route], request: Request) -> Answer:
        streams = routes[0].streams
        value = None
        if streams:
            request.chunks = self._chunks()
        elif request.method in ("POST", "PUT", "PATCH", "DELETE"):
            raw = await bodies.read(self.receive, request.settings.api.max_body)
            value = self._decoded(raw) if raw else None
        route = self._route(routes, value, request)
        self.route = route.label
        _authorize(route.who, request.claims)
        if route.body is not None:
            if value is None:
                raise Invalid("body-missing", "The request needs a JSON body.")
            bodies.validate(route.body, request.version, value)
        if request.method == "POST":
            check_key(self.headers)
        request.body = value
        _LOGGED_ID.set(self.request_id)
        _LOGGED_PROJECT.set(request.claims.project_id if request.claims else None)
        result = await route.handler(request)
        answer = result if isinstance(result, Answer) else Answer(route.status, result)
        if request.answer_headers:
            answer.headers = {**request.answer_headers, **(answer.headers or {})}
        return answer

    def _decoded(self, raw: bytes) -> Any:
        media = self.headers.get("content-type", "application/json").partition(";")[0].strip().lower()
        if "json" not in media and media not in ("", "text/plain", "application/x-www-form-urlencoded"):
            raise HttpRefusal(415, f"Unsupported Content-Type {media!r}: send application/json.")
        return bodies.decode(raw)

    def _route(self, routes: list[Route], value: Any, request: Request) -> Route:
        if routes[0].action is not None:
            keys = list(value) if isinstance(value, dict) else []
            if len(keys) != 1:
                raise Invalid("action", "The body must be an object with one key, which names the action.")
            routes = [route for route in routes if route.action == keys[0]]
            if not routes:
                raise Invalid("action", f"There is no such action: {keys[0][:100]!r}.", field=keys[0][:100])
        for route in routes:
            if route.has(request.version):
                return route
        raise HttpRefusal(404, "The resource could not be found in this version of the API.")

    async def _chunks(self) -> AsyncIterator[bytes]:
        more = True
        while more:
            message = await self.receive()
            if message["type"] == "http.disconnect":
                raise Invalid("body-incomplete", "The connection ended before the request's body did.")
            if chunk := message.get("body", b""):
                yield chunk
            more = message.get("more_body", False)

    def _refused(self, refusal: Refusal) -> Answer:
        code = self.service.code_of(refusal)
        headers = dict(refusal.headers) if isinstance(refusal, HttpRefusal) else {}
        if code == 401:
            headers["WWW-Authenticate"] = f'Keystone uri="{self.shared.settings.public_url}/identity"'
        if code in (413, 429):
            headers["Retry-After"] = str(refusal.seconds) if isinstance(refusal, TooMany) else "0"
        log.debug("request.refused", request_id=self.request_id, rule=refusal.rule, reason=refusal.message)
        return Answer(code, self.service.body_of(code, refusal.message), headers)

    async def _send(self, answer: Answer) -> None:
        headers: Headers = [(b"x-openstack-request-id", self.request_id.encode())]
        versions = self.service.versions
        if versions is not None:
            version = str(self.version or versions.least)
            headers.append((b"openstack-api-version", f"{versions.name} {version}".encode()))
            if versions.legacy:
                headers.append((versions.legacy.encode(), version.encode()))
            if versions.legacy_request_id:
                headers.append((versions.legacy_request_id.encode(), self.request_id.encode()))
            vary = "OpenStack-API-Version" + (f", {versions.legacy}" if versions.legacy else "")
            headers.append((b"vary", vary.encode()))
        for name, value in (answer.headers or {}).items():
            headers.append((name.lower().encode("latin-1"), value.encode("latin-1", "replace")))
        if answer.stream is not None:
            await self._send_stream(answer, headers)
            return
        content = answer.raw if answer.raw is not None else b"" if answer.content is None else _encode(answer.content)
        if content or answer.status not in (204, 304):
            headers.append((b"content-length", str(len(content)).encode()))
        if content:
            headers.append((b"content-type", answer.media.encode()))
        await self.send({"type": "http.response.start", "status": answer.status, "headers": headers})
        await self.send({"type": "http.response.body", "body": b"" if self.scope["method"] == "HEAD" else content})

    async def _send_stream(self, answer: Answer, headers: Headers) -> None:
        assert answer.stream is not None
        headers.append((b"content-type", answer.media.encode()))
        await self.send({"type": "http.response.start", "status": answer.status, "headers": headers})
        gone = asyncio.create_task(self._disconnected())
        try:
            async for chunk in answer.stream:
                if gone.done():
                    return  # the web server drops what is sent from now on, and would have us send it all
                await self.send({"type": "http.response.body", "body": chunk, "more_body": True})
        finally:
            gone.cancel()
        await self.send({"type": "http.response.body", "body": b""})

    async def _disconnected(self) -> None:
        """Returns when the client has gone away; only for use when the whole body was read."""
        while (await self.receive())["type"] != "http.disconnect":
            pass

    def _log(self, status: int, seconds: float) -> None:
        method = self.scope["method"]
        write = log.debug if status < 400 and method in ("GET", "HEAD") else log.info
        write(
            "request",
            request_id=self.request_id,
            method=method,
            path=self.scope["path"],
            status=status,
            ms=round(seconds * 1000, 1),
            project=self.claims.project_id if self.claims else None,
        )

    def _count(self, status: int, seconds: float) -> None:
        """What is streamed took until it began: how long it is read is the client's."""
        if self.shared.metrics is not None:
            self.shared.metrics.request(self.service.name, self.scope["method"], self.route, status, seconds)


def _authorize(who: Who, claims: Claims | None) -> None:
    if who == "anyone":
        return
    assert claims is not None
    if who == "token":
        return
    if claims.project_id is None:
        raise Forbidden("project-scope", "This needs a token for a project; yours is for none.")
    roles = claims.roles
    allowed = "admin" in roles or (who in ("member", "reader") and "member" in roles)
    if not allowed and not (who == "reader" and "reader" in roles):
        raise Forbidden("role", f"Your roles in this project do not allow this; it takes the role {who}.")


def _version(text: str | None) -> Version | None:
    if text is None:
        return None
    major, minor = text.split(".")
    return Version(int(major), int(minor))


def _query(raw: bytes) -> dict[str, list[str]]:
    if not raw:
        return {}
    try:
        query = parse_qs(raw.decode("ascii"), keep_blank_values=True, errors="strict", max_num_fields=200)
    except ValueError as error:
        raise Invalid("query", f"The query string cannot be read: {error}") from error
    if any("\0" in text for values in query.values() for text in values) or any("\0" in name for name in query):
        raise Invalid("query", "The query string has a NUL character.")
    return query
