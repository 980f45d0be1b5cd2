"""`cyclades pool-show`"""

from __future__ import annotations

from typing import Annotated

import typer

from cyclades.cli.beside import Cloud
from cyclades.cli.command import command
from cyclades.cli.pools import POOL


@command(POOL)
def pool_show(cloud: Cloud, name: Annotated[str, typer.Argument(help="The pool.")]) -> None:
    """Show a pool, as an engine last found it, and which backends reach it. Sizes are bytes."""
    cloud.show_one("pool", name)
