"""`make bench`: measures, and prints what it found beside what is to be reached. It never fails for being slow."""

from __future__ import annotations

import os
import signal
import sys
import tempfile
from pathlib import Path

import uvloop
from rich.console import Console
from rich.table import Table

from bench import attaching, fill, making, starting, throughput
from bench.cloud import Cloud
from bench.endpoint import Broken, Endpoint, login
from bench.figures import Report, ms
from bench.options import OURS_ONLY, Login, Options, parse
from bench.throughput import Throughput

_FOREIGN_PAUSE = 0.02  # seconds between two looks at somebody else's cloud

console = Console(highlight=False, width=None if sys.stdout.isatty() else 120)


def main() -> int:
    options = parse()
    report, found = Report(), Throughput()
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    _about_the_machine(report)
    try:
        if options.login is None:
            _ours(options, report, found)
        else:
            uvloop.run(_theirs(options, options.login, report, found))
    except KeyboardInterrupt:
        return 130
    except (Broken, OSError, TimeoutError) as error:
        console.print(f"It could not be measured: {error}", style="red", markup=False)
        return 1
    _show(options, report, found)
    return 0


def _ours(options: Options, report: Report, found: Throughput) -> None:
    """Start a cloud, and measure it."""
    with tempfile.TemporaryDirectory(prefix="cyclades-bench-", dir=options.directory) as name:
        directory = Path(name)
        directory.chmod(0o711)  # the guests' QEMUs pass through it
        if "start" in options.parts:
            with console.status("starting clouds"):
                starting.measure(options, report, directory)
        if set(options.parts) - {"start"}:
            with Cloud(directory / "cloud") as cloud:
                uvloop.run(_inside(options, report, found, cloud))


async def _inside(options: Options, report: Report, found: Throughput, cloud: Cloud) -> None:
    endpoint = await cloud.endpoint()
    await _for_all(options, report, endpoint, cloud)
    if "attach" in options.parts:
        with console.status("attaching volumes to a guest"):
            await attaching.measure(options, report, endpoint, cloud)
    if "requests" not in options.parts:
        return
    for volumes in options.volumes:
        with console.status(f"counting requests at {volumes:,} volumes"):
            there = len(await fill.ids(endpoint, volumes))
            fill.rows(cloud.directory / "cyclades.db", endpoint, volumes - there)
            await throughput.measure(options, endpoint, cloud, volumes, found)
    report.add("resident memory after the requests", f"{cloud.memory() / 2**20:.0f} MiB")


async def _theirs(options: Options, wanted: Login, report: Report, found: Throughput) -> None:
    """Measure somebody's cloud; what was made there is deleted again."""
    if left_out := [part for part in options.parts if part in OURS_ONLY]:
        report.note(f"Left out, since they need a process of our own: {', '.join(left_out)}.")
    report.note("The CPU of this cloud's servers cannot be seen from here.")
    endpoint = await login(wanted, pause=_FOREIGN_PAUSE)
    await _for_all(options, report, endpoint, None)
    if "requests" not in options.parts:
        return
    made: list[str] = []
    try:
        for volumes in options.volumes:
            with console.status(f"counting requests at {volumes:,} volumes"):
                there = len(await fill.ids(endpoint, volumes))
                made += await fill.through_the_api(endpoint, volumes - there)
                made += await throughput.measure(options, endpoint, None, volumes, found)
    finally:
        with console.status("deleting what was made"):
            await fill.delete(endpoint, made)


async def _for_all(options: Options, report: Report, endpoint: Endpoint, cloud: Cloud | None) -> None:
    """What is measured in every cloud."""
    if "create" in options.parts:
        with console.status("making volumes"):
            await making.create(options, report, endpoint)
    if "clone" in options.parts:
        with console.status("making snapshots and clones"):
            await making.clone(options, report, endpoint, cloud)


# --- what is shown --------------------------------------------------------------------------------


def _about_the_machine(report: Report) -> None:
    cores = len(os.sched_getaffinity(0))
    busy = " · ".join(f"{load:.1f}" for load in os.getloadavg())
    report.note(f"{cores} cores; load of the machine before (1, 5, 15 minutes): {busy}.")


def _show(options: Options, report: Report, found: Throughput) -> None:
    for volumes in options.volumes[1:]:
        for clients in options.clients:
            ratio = found.ratio("list of 10", clients, volumes, options.volumes[0])
            if ratio is not None:
                name = f"list of 10 at {volumes:,} volumes, {clients} clients"
                report.add(name, f"{ratio:.2f} times as fast as at {options.volumes[0]:,}", "1 time")
    if report.figures:
        table = Table("What", "Measured", "To be reached")
        for figure in report.figures:
            table.add_row(figure.name, figure.measured, figure.goal)
        console.print(table)
    if found.lines:
        console.print(_requests(found))
        report.note(
            f"The clients are one process of their own beside the server, and took {found.own_share:.0%} of a core at "
            "most: on 2 cores that is the other core, and guests and other programs share both."
        )
    busy = os.getloadavg()[0]
    report.note(f"Load after: {busy:.1f}.")
    for note in report.notes:
        console.print(f"· {note}", style="dim", soft_wrap=True, markup=False)


def _requests(found: Throughput) -> Table:
    table = Table("Request", title="Requests", title_justify="left")
    for name in ("Volumes", "Clients", "Requests/s", "p50", "p95", "CPU each", "To be reached"):
        table.add_column(name, justify="right")
    before = None
    for line in found.lines:
        if before not in (None, (line.volumes, line.clients)) and line.clients < (before or (0, 0))[1]:
            table.add_section()
        before = (line.volumes, line.clients)
        cpu = "" if line.cpu is None else f"{line.cpu * 1000:.2f} ms"
        rate = f"{line.rate:,.0f}"
        table.add_row(
            line.kind, f"{line.volumes:,}", str(line.clients), rate, ms(line.p50), ms(line.p95), cpu, line.goal
        )
    return table


if __name__ == "__main__":
    sys.exit(main())
