"""What a hostile client sends, for tests that go through the route tables."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from tests.api.examples import example

from cyclades.api.http.service import Route, Service
from cyclades.api.http.versions import Version

_NOBODY = "00000000-0000-4000-8000-000000000000"
Path = tuple[str | int, ...]


class Raw(str):
    """JSON text that no Python value gives."""

    __slots__ = ()


# In place of any part of a body.
VALUES: list[Any] = [
    0, -1, 1, 10**9, 2**31, 2**53, 2**63, 2**64, 10**30, 1.0, 1.5, True, False, None,
    Raw("1e400"), Raw("-1e400"), Raw("1e-400"), Raw("NaN"), Raw("Infinity"), Raw("-0"), Raw("01"), Raw("0x10"),
    Raw("1" + "0" * 400), Raw("1" + "0" * 5000), "ten", "1", "-1", "0", "1e3", "1.0", "\u0661", "\u00b2", "", " ",
    Raw('"\\u0000"'), Raw('"a\\u0000"'), Raw('"\\ud800"'), Raw('"a\\udfffb"'), Raw('{"\\ud800": "x"}'),
    Raw('{"a\\u0000": "x"}'), "a\nb", "\x01", "\x7f", "\u202e", "\u2028", "\ufeff", "😀", "x" * 255, "x" * 256,
    "x" * 70_000,
    [], {}, [[]], [None], {"x": None}, {"a": {"b": 1}}, ["x"] * 2000, {str(i): "x" for i in range(2000)},
    Raw("[" * 60 + "]" * 60), Raw("[" * 300 + "]" * 300), Raw("[" * 5000 + "]" * 5000),
    Raw('{"a":' * 300 + "1" + "}" * 300),
    "../../etc/passwd", "' OR 1=1 --", "%00", "$(id)", "http://127.0.0.1/", "not-a-uuid", _NOBODY, _NOBODY.upper(),
    _NOBODY.replace("-", ""), f"urn:uuid:{_NOBODY}", "9999-12-31T23:59:59", "0001-01-01T00:00:00", "<is> True", "admin",
]  # fmt: skip

# In place of an id in a path, as it stands in the URL.
IDS = [
    "x", "%00", "%0A", "%FF", "%ED%A0%80", "%F0%9F%98%80", "..", "%2E%2E", "%2F", "..%2F..", "a" * 300, _NOBODY,
    _NOBODY.replace("-", ""), "-1", "0", "9" * 30, "%27%20OR%201=1", "*", "%25", "%25%5F", "null", "%C2%B2", "%7Bid%7D",
    "a;b", "%E2%80%AE",
]  # fmt: skip

# As the value of a query's parameter, and as a whole query.
QUERY = [
    "", "0", "1", "-1", "x", "true", "9" * 18, "9" * 30, "9223372036854775808", "1.5", "1e400", "NaN", "%00", "%FF",
    "%ED%A0%80", "%F0%9F%98%80", "a" * 3000, "null", "%22", "%27", "%5C", "%25", "_", "(", "*", "%5E%5C", "in:",
    "in:%22",
    "gt:", "gt:0001-01-01T00:00:00", "lt:9999-12-31T23:59:59.999999%2B00:00", "0001-01-01T00:00:00-23:59",
    "0001-01-01T00:00:00%2B23:59", "9999-12-31T23:59:59-23:59", "name:asc,name:desc", "id:up", ":", ",", "%0A",
    "%D9%A1",
    _NOBODY, "%7B%22a%22:%22b%22%7D", "%7B%22%5Cud800%22:%22b%22%7D", "%7B%22a%22:%22%5Cu0000%22%7D", "%7B%7B%7D%7D",
    "%7B%27a%27:%27%5Cud800%27%7D", "%5B" * 3000, "-" * 3000 + "1",
]  # fmt: skip
QUERIES = [
    "a", "a&b&c", "&&&", "=", "%", "%zz", "a=1&" * 300, ";", "limit=1;marker=2", "%ED%A0%80=x", "%00=x", "x=%FF", "+=+",
    "limit=1&limit=x", "sort=name&sort_key=name",
]  # fmt: skip
PARAMETERS = (
    "limit", "marker", "offset", "sort", "sort_key", "sort_dir", "name", "name~", "status", "id", "size", "tag", "tags",
    "metadata", "created_at", "updated_at", "changes-since", "changes-before", "all_tenants", "with_count",
    "project_id",
    "user_id", "host", "extra_specs", "is_public", "visibility", "user.id", "scope.project.id", "domain_id", "enabled",
)  # fmt: skip

HEADERS = [
    *(("openstack-api-version", f"{{service}}{value}") for value in
      ("", " 3", " 3.", " 3.x", " 3.99999", " 3.-1", " 3.1e1", " 03.070", " 2.1 2.2", " 3.\xb2", " \xff")),
    ("openstack-api-version", ",,,"), ("openstack-api-version", "x" * 5000), ("openstack-api-version", "\xff\xfe"),
    *(("x-openstack-nova-api-version", value) for value in ("2", "2.999", "x", "\xff", "")),
    *(("x-auth-token", value) for value in ("", " ", "\xff", "a" * 10_000, "a:b", ":::")),
    *(("x-subject-token", value) for value in ("", "\xff", "a" * 10_000, "x.y.z")),
    *(("idempotency-key", value) for value in ("", " ", "\xff", "a" * 300, "a b")),
    *(("range", value) for value in ("bytes=-0", "bytes=-", "bytes=5-2", "bytes=0-" + "9" * 30, "bytes=0-1,2-3",
    "\xff")),
    *(("if-match", value) for value in ("*", '""', "\xff", "x" * 5000)),
    *(("content-type", value) for value in
      ("", "\xff", "text/xml", "application/json; charset=utf-16", "multipart/form-data; boundary=", "image/png")),
    ("content-encoding", "gzip"), ("accept", "\xff"), ("accept", "text/html"), ("x-openstack-request-id", "req-\xff"),
    ("x-forwarded-for", "\xff"), ("x-cyclades-extras", "\xff"),
]  # fmt: skip


def dumps(value: Any) -> bytes:
    """JSON, with each `Raw` as it is."""
    raws: list[Raw] = []

    def marked(part: Any) -> Any:
        if isinstance(part, Raw):
            raws.append(part)
            return f"@@{len(raws) - 1}@@"
        if isinstance(part, dict):
            return {name: marked(inner) for name, inner in part.items()}
        return [marked(inner) for inner in part] if isinstance(part, list) else part

    text = json.dumps(marked(value))
    for number, raw in enumerate(raws):
        text = text.replace(f'"@@{number}@@"', raw)
    return text.encode()


def bodies(service: Service, route: Route, ids: list[str]) -> Iterator[tuple[str | None, Any, list[Path]]]:
    """For the oldest and the newest microversion that has the route: a body that it takes, and every place in it, also
    of what may be and is not there."""
    versions: list[Version | None] = [None]
    if service.versions is not None:
        versions = list(dict.fromkeys([route.since or service.versions.least, route.until or service.versions.most]))
    for version in versions:
        schema = route.body(version) if callable(route.body) else route.body  # type: ignore[arg-type]
        body = example(schema, ids) if schema is not None else {route.action: None} if route.action else None
        places = {*_places(body), *(_known(schema) if schema is not None else ())}
        yield None if version is None else str(version), body, sorted(places | {(*p, "more") for p in places}, key=repr)


def _places(value: Any, path: Path = ()) -> Iterator[Path]:
    yield path
    parts = value.items() if isinstance(value, dict) else enumerate(value[:2]) if isinstance(value, list) else ()
    for name, inner in parts:
        yield from _places(inner, (*path, name))


def _known(schema: Any, path: Path = ()) -> Iterator[Path]:
    if not isinstance(schema, dict):
        return
    for several in ("anyOf", "oneOf", "allOf"):
        for one in schema.get(several, ()):
            yield from _known(one, path)
    for name, inner in schema.get("properties", {}).items():
        yield (*path, name)
        yield from _known(inner, (*path, name))
    yield from _known(schema.get("items"), (*path, 0))


def with_value(body: Any, path: Path, value: Any) -> Any:
    """A copy of the body with `value` at `path`; what is missing on the way there is made."""
    if not path:
        return value
    name, *rest = path
    if isinstance(name, int):
        items = list(body) if isinstance(body, list) and body else [None]
        return [with_value(items[0], tuple(rest), value), *items[1:]]
    known = dict(body) if isinstance(body, dict) else {}
    return {**known, name: with_value(known.get(name), tuple(rest), value)}
