"""What Cinder's clients know our pools as: `host@backend#pool`."""

from __future__ import annotations

HOST = "cyclades"


def backend_of(pool: str) -> str:
    """The host of the service that drives a pool."""
    return f"{HOST}@{pool}"


def host_of(pool: str) -> str:
    """The host that a volume in a pool has, which is also the pool's own name."""
    return f"{HOST}@{pool}#{pool}"


def pool_of(host: str) -> str | None:
    """The pool that a client's `host@backend#pool`, or `host@backend`, means; empty for the host alone, which means all
    pools; None if it is no host of ours."""
    name, at, rest = host.partition("@")
    backend, hash_sign, pool = rest.partition("#")
    if name != HOST or (at and not backend) or (hash_sign and pool != backend):
        return None
    return backend
