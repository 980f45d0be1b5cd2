"""`cyclades backend-show`"""

from __future__ import annotations

from typing import Annotated

import typer

from cyclades.cli.backends import BACKEND
from cyclades.cli.beside import Cloud
from cyclades.cli.command import command


@command(BACKEND)
def backend_show(cloud: Cloud, name: Annotated[str, typer.Argument(help="The backend.")]) -> None:
    """Show a backend as an engine last found it, and what it is set to. Memory is MiB, `disk_free` is bytes."""
    cloud.show_one("backend", name)
