"""/v2/fills/{image_id}/file: an image's bytes for a machine that writes them to a new server's disk. It shows a grant
for this one image, and asks for piece after piece: that tells how far it is."""

from __future__ import annotations

from cyclades.api.http.request import Request
from cyclades.api.http.service import Answer
from cyclades.api.image.data import BYTES, RANGE, answer_with_bytes
from cyclades.api.image.service import SERVICE
from cyclades.model.errors import NotFound, Unauthorized
from cyclades.security import grants
from cyclades.store import images, servers
from cyclades.store.database import Tx


@SERVICE.route("GET", "/v2/fills/{image_id}/file", who="anyone", headers=RANGE, also=(206, 401, 416), media=BYTES)
async def fill(request: Request) -> Answer:
    grant = grants.check(request.keys, request.headers.get("x-auth-token", ""))
    if grant.image_id != request.ids["image_id"]:
        raise Unauthorized("grant", "The grant is for another image.")
    row = await request.db.read(lambda tx: images.get_even_deleted(tx, grant.image_id))
    if row.file is None:
        raise NotFound("image", row.id)
    answer, begin = await answer_with_bytes(request, row)
    if request.method == "GET" and row.size:
        await request.db.write(lambda tx: _tell(tx, grant.server_id, 100 * begin // row.size))
    return answer


def _tell(tx: Tx, server_id: str, percent: int) -> None:
    """How far a server is that is being made; others are left alone."""
    servers.tell_progress(tx, server_id, percent)
