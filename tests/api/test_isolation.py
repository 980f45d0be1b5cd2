"""Every route that takes an id, asked by another project: 404, and nothing is changed.

Made from the route tables: a new route is in it by itself.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.api.examples import example
from tests.api.whole import SERVICES, Whole, whole

from cyclades.api.http.service import Route, Service
from cyclades.store.database import Database

# What stands in a path and is nobody's: the program's own names, and what all projects share.
_SHARED = {"ident", "network", "host", "network_id", "subnet_id", "class_name", "hypervisor", "service_id"}
# Parts of a path that only mean something below another one.
_BELOW = {"key", "tag", "member_id"}
# (method, path) → what another project gets instead of 404, and why.
_OTHERWISE = {
    ("GET", "/v2/fills/{image_id}/file"): ({401}, "no user's token opens it"),
    ("POST", "/v3/users/{user_id}/password"): ({401}, "the old password is what proves who asks"),
    **{
        ("GET", f"/os-quota-sets/{{project_id}}{part}"): ({403, 404}, "Nova says 403 of any project but one's own")
        for part in ("", "/detail", "/defaults")
    },
    ("GET", "/os-simple-tenant-usage/{project_id}"): ({403}, "as Nova does, of any project but one's own"),
    **{
        (method, "/v2.0/ports/{port_id}"): ({403}, "every write is refused, of any port")
        for method in ("PUT", "DELETE")
    },
}
for _path in ("/os-volume-transfer", "/volume-transfers"):
    _OTHERWISE["POST", f"{_path}/{{transfer_id}}/accept"] = ({400}, "it is for other projects: the key proves who asks")
# Bodies that are not JSON, or of a JSON that has its own content type.
_RAW = {
    ("PUT", "/v2/images/{image_id}/file"): ("application/octet-stream", b"x"),
    ("PATCH", "/v2/images/{image_id}"): (
        "application/openstack-images-v2.1-json-patch",
        b'[{"op": "replace", "path": "/name", "value": "theirs"}]',
    ),
}
_IDENTITY = {403, 404}  # Keystone says 403 to whoever may not look, whether the thing is there or not


def _cases() -> Iterator[Any]:
    for service in SERVICES:
        for route in service.routes:
            names = _names(route)
            if names - _SHARED - _BELOW:
                label = f"{service.name} {route.method} {route.path} {route.action or ''} {route.since or ''}".strip()
                yield pytest.param(service, route, id=label)


def _names(route: Route) -> set[str]:
    return {part.strip("{}").partition(":")[0] for part in route.path.split("/") if part.startswith("{")}


@pytest.fixture
def cloud(database: Database, tmp_path: Path) -> Iterator[Whole]:
    with whole(database, tmp_path) as made:
        yield made


@pytest.mark.parametrize(("service", "route"), list(_cases()))
async def test_another_project_is_told_nothing(cloud: Whole, service: Service, route: Route) -> None:
    unknown = _names(route) - _SHARED - set(cloud.ids)
    assert not unknown, f"tests/api/whole.py has nothing for {unknown}"
    path = route.path
    for name in _names(route):
        for form in (f"{{{name}:path}}", f"{{{name}}}"):
            path = path.replace(form, cloud.ids.get(name, "x"))
    if "{volume_id}" in route.path and "os-volume_attachments" in route.path:
        path = path.replace(cloud.ids["volume_id"], cloud.ids["attached_volume_id"])
    if (raw := _RAW.get((route.method, route.path))) is not None:
        sent: dict[str, Any] = {"headers": {"Content-Type": raw[0]}, "content": raw[1]}
    else:
        sent = {"json": _body(cloud, service, route)}
    before = await cloud.everything()
    async with cloud.client(cloud.other_project, "member", user_id="0" * 32, **_headers(service, route)) as stranger:
        answer = await stranger.request(route.method, service.prefix + path, **sent)
    if route.who == "admin":
        allowed = {403, 404}  # the role is asked for first, whatever the id
    elif service.name == "identity":
        allowed = _IDENTITY
    else:
        allowed = {404}
    allowed, _why = _OTHERWISE.get((route.method, route.path), (allowed, ""))
    assert answer.status_code in allowed, answer.text
    assert await cloud.everything() == before


def _headers(service: Service, route: Route) -> dict[str, str]:
    if service.versions is None:
        return {}
    version = route.until or service.versions.most
    return {"OpenStack-API-Version": f"{service.versions.name} {version}"}


def _body(cloud: Whole, service: Service, route: Route) -> Any:
    if route.body is None:
        return None if route.action is None else {route.action: None}
    schema = route.body
    if callable(schema):
        assert service.versions is not None
        schema = schema(route.until or service.versions.most)
    return example(schema, [cloud.ids["volume_id"], cloud.ids["snapshot_id"]])
