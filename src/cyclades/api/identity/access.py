"""Who may do what here: admins everything, others only look at themselves.

Being admin of any project, of a domain or of the system is the same, as in Keystone's own rules. So these
routes ask for no role in a project (`who="token"`), and each of them asks one of these functions.
"""

from __future__ import annotations

from cyclades.api.http.request import Request
from cyclades.model.errors import Forbidden
from cyclades.model.roles import ADMIN


def is_admin(request: Request) -> bool:
    assert request.claims is not None
    return ADMIN in request.claims.roles


def admin(request: Request) -> None:
    if not is_admin(request):
        raise Forbidden("admin", "You are not authorized to perform the requested action; it takes the role admin.")


def own(request: Request, user_id: str | None) -> None:
    """What is a user's own, and admins' to see."""
    assert request.claims is not None
    if request.claims.user_id != user_id:
        admin(request)
