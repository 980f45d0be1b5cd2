"""`cyclades pool-list`"""

from __future__ import annotations

from cyclades.cli.beside import Cloud
from cyclades.cli.command import command
from cyclades.cli.pools import POOL


@command(POOL)
def pool_list(cloud: Cloud) -> None:
    """List the pools, as an engine last found them: `total`, `free` and `promised` are bytes."""
    cloud.show_list(lambda _: [])
