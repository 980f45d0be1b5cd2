"""The main job of Cyclades as a story: a text written by one server is read by another, from a volume that moved.

Starts a cloud of its own in a temporary directory and speaks to it only as a user would: with the `openstack`
command and ssh. Each command is shown as it runs. Ends with the time of each step; whatever happens, nothing
stays behind. `make demo` runs it; `--keep DIR` uses DIR instead and leaves its files there to look at.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import shlex
import shutil
import signal
import socket
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

ROOT = Path(__file__).parents[1]
PROGRAMS = Path(sys.executable).parent  # where `cyclades` and `openstack` are installed
PATIENCE = 300  # seconds for anything that the cloud or a guest does, on a busy machine without KVM
SSH_PORT = 2222  # of a server's address on this machine
TEXT = "Bury me on the island, said the volume, and I shall remember."
TABLES = ("volume", "snapshot", "image", "server", "attachment")

console = Console(highlight=False, width=None if sys.stdout.isatty() else 120)


class Broken(Exception):
    """The story cannot go on; the message says why."""


class Story:
    """The state of one run: where its files are, how it reaches the cloud, and how long each step took."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.data = directory / "cloud"
        self.key = directory / "key"
        self.log = directory / "cloud.log"
        self.cloud: subprocess.Popen[bytes] | None = None
        self.times: list[tuple[str, float]] = []

    @contextmanager
    def step(self, title: str) -> Iterator[None]:
        console.print(f"\n[bold cyan]{len(self.times) + 1}. {title}[/]")
        start = time.monotonic()
        yield
        self.times.append((title, time.monotonic() - start))

    def openstack(self, *words: str, cloud: str = "cyclades", show: bool = True) -> str:
        """Run `openstack` with these words, as a user who sourced the cloud's credentials."""
        environment = os.environ | {"OS_CLIENT_CONFIG_FILE": str(self.data / "clouds.yaml"), "OS_CLOUD": cloud}
        return run([str(PROGRAMS / "openstack"), *words], environment, show=show)

    def query(self, *words: str) -> Any:
        """What `openstack` answers, as data; asked quietly, between the commands that tell the story."""
        return json.loads(self.openstack(*words, "-f", "json", show=False))

    def ssh(self, address: str, command: str, *, show: bool = True) -> str:
        options = ["StrictHostKeyChecking=no", f"UserKnownHostsFile={self.directory / 'known_hosts'}"]
        options += ["LogLevel=ERROR", "BatchMode=yes", "ConnectTimeout=10"]
        words = ["ssh", "-F", "none", "-p", str(SSH_PORT), "-i", str(self.key), *(f"-o{option}" for option in options)]
        if show:
            console.print(f"[bold]$ ssh root@{address}[/] {command}", soft_wrap=True)
        return run([*words, f"root@{address}", command], dict(os.environ), show_command=False, show=show)


def run(command: list[str], environment: dict[str, str], *, show: bool = True, show_command: bool = True) -> str:
    if show and show_command:
        shown = shlex.join([Path(command[0]).name, *command[1:]])
        console.print(f"[bold]$ {shown.replace('[', chr(92) + '[')}[/]", soft_wrap=True)
    done = subprocess.run(
        command,
        env=environment,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )
    if done.returncode:
        raise Broken(f"{shlex.join(command)} failed:\n{done.stdout}{done.stderr}")
    if show:
        for line in done.stdout.splitlines():
            console.print(f"    {line}", style="dim", markup=False, soft_wrap=True)
    return done.stdout.strip()


def wait_until(what: str, met: Callable[[], Any]) -> Any:
    """Ask again and again, with a spinner, until `met` answers something true."""
    give_up = time.monotonic() + PATIENCE
    with console.status(f"waiting until {what}"):
        while not (answer := met()):
            if time.monotonic() > give_up:
                raise Broken(f"after {PATIENCE} s it is still not so that {what}")
            time.sleep(0.2)
    return answer


# --- the story ------------------------------------------------------------------------------------


def tell(story: Story) -> None:
    with story.step("Build the small guest image (kept for the next time)"):
        image = run([str(ROOT / "guest" / "build")], dict(os.environ))

    with story.step("Start the cloud"):
        start_cloud(story)

    with story.step("Register a key, upload the image"):
        run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "demo", "-f", str(story.key)], dict(os.environ))
        story.openstack("keypair", "create", "--public-key", f"{story.key}.pub", "mine", "-c", "name")
        upload = ["image", "create", "--disk-format", "qcow2", "--container-format", "bare", "--file", image]
        story.openstack(*upload, "small-guest", "-c", "name", "-c", "status", "-c", "size")
        wait_until("the image is active", lambda: story.query("image", "show", "small-guest")["status"] == "active")

    with story.step("Create two servers"):
        flavor = smallest_flavor(story)
        create = ["server", "create", "--image", "small-guest", "--flavor", flavor, "--key-name", "mine"]
        for name in ("first", "second"):
            story.openstack(*create, name, "-c", "name", "-c", "status")
        for name in ("first", "second"):
            wait_for_status(story, "server", name, "ACTIVE")
        story.openstack("server", "list", "-c", "Name", "-c", "Status", "-c", "Networks")

    with story.step("Wait until their guests answer over ssh"):
        first, second = (reachable(story, name) for name in ("first", "second"))

    with story.step("Create a volume"):
        story.openstack("volume", "create", "--size", "1", "notes", "-c", "name", "-c", "size", "-c", "status")
        wait_for_status(story, "volume", "notes", "available")
        volume_id = str(story.query("volume", "show", "notes")["id"])

    with story.step("Attach it to the first server, and have its guest write a text to it"):
        attach(story, "first")
        write = f"echo '{TEXT}' | dd of=$(disk {volume_id}) bs=512 conv=sync,fsync 2>/dev/null"
        story.ssh(first, write)

    with story.step("Detach it"):
        story.openstack("server", "remove", "volume", "first", "notes")
        wait_for_status(story, "volume", "notes", "available")

    with story.step("Attach it to the second server, and have that guest read the text"):
        attach(story, "second")
        read = story.ssh(second, f"dd if=$(disk {volume_id}) bs=512 count=1 2>/dev/null | tr -d '\\0'")
        if read != TEXT:
            raise Broken(f"the second guest read {read!r}")
        console.print("    [green]It is what the first guest wrote.[/]")

    with story.step("Delete everything"):
        story.openstack("server", "delete", "--wait", "first", "second")
        wait_for_status(story, "volume", "notes", "available")
        story.openstack("volume", "delete", "notes")
        wait_until("the volume is gone", lambda: story.query("volume", "list") == [])
        story.openstack("image", "delete", "small-guest")
        story.openstack("keypair", "delete", "mine")

    with story.step("See that pool, database and quota are empty again"):
        look_around(story)

    with story.step("Stop the cloud"):
        stop_cloud(story)


def start_cloud(story: Story) -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [str(PROGRAMS / "cyclades"), "up", "--data", str(story.data), "--port", str(port)]
    console.print(f"[bold]$ cyclades {shlex.join(command[1:])} &[/]", soft_wrap=True)
    with story.log.open("wb") as log:
        # A session of its own: Ctrl-C reaches this program alone, which then stops the cloud in order.
        story.cloud = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT, start_new_session=True
        )
    cloud = story.cloud

    def ready() -> str | None:
        if cloud.poll() is not None:
            raise Broken("the cloud ended before it was ready")
        return next((line for line in story.log.read_text().splitlines() if "http://" in line), None)

    console.print(f"    {wait_until('the cloud accepts requests', ready)}", style="dim", markup=False)
    console.print(f"[bold]$ export OS_CLIENT_CONFIG_FILE={story.data / 'clouds.yaml'} OS_CLOUD=cyclades[/]")


def smallest_flavor(story: Story) -> str:
    flavors = story.query("flavor", "list")
    return str(min((flavor for flavor in flavors if flavor["RAM"] >= 96), key=lambda flavor: flavor["RAM"])["Name"])


def wait_for_status(story: Story, kind: str, name: str, wanted: str) -> None:
    """An error ends the story."""

    def has_it() -> bool:
        shown = story.query(kind, "show", name)
        if str(shown["status"]).lower().startswith("error"):
            raise Broken(f"{kind} {name} is in error: {json.dumps(shown, indent=1)}")
        return bool(shown["status"] == wanted)

    wait_until(f"{kind} {name} is {wanted}", has_it)


def reachable(story: Story, name: str) -> str:
    """The address of the server at which its guest answers over ssh from this machine."""
    addresses = story.query("server", "show", name)["addresses"]
    found = re.search(r"\b127\.\d+\.\d+\.\d+", json.dumps(addresses))
    if not found:
        raise Broken(f"server {name} has no address on this machine: {addresses}")
    address = found[0]

    def answers() -> bool:
        try:
            return story.ssh(address, "hostname", show=False) != ""
        except Broken:
            return False

    wait_until(f"the guest of {name} answers", answers)
    story.ssh(address, "hostname; uptime")
    return address


def attach(story: Story, server: str) -> None:
    story.openstack("server", "add", "volume", server, "notes", "-c", "Device", "-c", "Volume ID")
    wait_for_status(story, "volume", "notes", "in-use")


def look_around(story: Story) -> None:
    """As the user, as the admin, and as the operator who looks into the directory."""
    for kind in ("server", "volume"):
        if story.openstack(kind, "list", "--all-projects", "-f", "value", cloud="cyclades-admin"):
            raise Broken(f"a {kind} is left")
    limits = {str(row["Name"]): row["Value"] for row in story.query("limits", "show", "--absolute")}
    used = {name: value for name, value in limits.items() if name.endswith("_used") and value is not None}
    console.print("[bold]$ openstack limits show --absolute[/]")
    for name, value in used.items():
        console.print(f"    {name} {value}", style="dim")
    if missing := {"total_volumes_used", "total_gigabytes_used", "instances_used"} - set(used):
        raise Broken(f"the limits do not say {missing}")
    if any(used.values()):
        raise Broken(f"quota is still used: {used}")

    disks = [path for path in story.data.rglob("*") if path.suffix in (".qcow2", ".raw")]
    console.print(f"[bold]$ find {story.data} -name '*.qcow2' -o -name '*.raw'[/]")
    if disks:
        raise Broken(f"the pool is not empty: {disks}")
    console.print("    nothing", style="dim")

    console.print(f"[bold]$ sqlite3 {story.data / 'cyclades.db'}[/]")
    with sqlite3.connect(f"file:{story.data / 'cyclades.db'}?mode=ro", uri=True) as database:
        for table in TABLES:
            left = database.execute(f"SELECT count(*) FROM {table} WHERE deleted_at IS NULL").fetchone()[0]
            console.print(f"    {table}: {left}", style="dim")
            if left:
                raise Broken(f"{left} rows are left in the table {table}")
        for table in ("pool_disk", "layer"):
            if left := database.execute(f"SELECT count(*) FROM {table}").fetchone()[0]:
                raise Broken(f"{left} rows are left in the table {table}")
        if left := database.execute("SELECT count(*) FROM operation WHERE ended_at IS NULL").fetchone()[0]:
            raise Broken(f"{left} operations have not ended")


# --- the end, good or bad -------------------------------------------------------------------------


def stop_cloud(story: Story) -> None:
    cloud = story.cloud
    if cloud is None or cloud.poll() is not None:
        return
    cloud.terminate()
    try:
        cloud.wait(60)
    except subprocess.TimeoutExpired:
        cloud.kill()
        cloud.wait()
        raise Broken("the cloud did not stop when asked to") from None


def kill_guests(data: Path) -> None:
    """End the guests of this cloud, which outlive it by design: each QEMU that was started with files of it."""
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            program, *words = (entry / "cmdline").read_bytes().decode(errors="replace").split("\0")
            if "qemu-system" in program and any(f"{data}/" in word for word in words):
                os.kill(int(entry.name), signal.SIGKILL)
        except OSError:
            continue  # it has just ended


def explain(story: Story) -> None:
    """What helps to find the reason of a failure."""
    if story.log.exists():
        console.print("\n[bold]The end of the cloud's log[/]")
        for line in story.log.read_text(errors="replace").splitlines()[-40:]:
            console.print(f"    {line}", markup=False, style="dim", soft_wrap=True)
    if story.cloud is None or story.cloud.poll() is not None:
        return
    for name in ("first", "second"):
        try:
            said = story.openstack("console", "log", "show", "--lines", "15", name, show=False)
        except (Broken, subprocess.TimeoutExpired):
            continue
        console.print(f"\n[bold]The console of {name}[/]")
        console.print(said, markup=False, style="dim")


def show_times(story: Story) -> None:
    table = Table(title="How long it took", title_justify="left", show_footer=True)
    table.add_column("Step", footer="All")
    table.add_column("Seconds", justify="right", footer=f"{sum(seconds for _, seconds in story.times):.1f}")
    for title, seconds in story.times:
        table.add_row(title, f"{seconds:.1f}")
    console.print()
    console.print(table)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0] if __doc__ else None)
    parser.add_argument("--keep", metavar="DIR", type=Path, help="use this directory and leave its files there")
    directory: Path | None = parser.parse_args().keep
    if directory:
        directory.mkdir(parents=True)
    story = Story((directory or Path(tempfile.mkdtemp(prefix="cyclades-demo-"))).absolute())
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        tell(story)
        show_times(story)
        return 0
    except KeyboardInterrupt:
        console.print("\nStopped; cleaning up.")
        return 130
    except (Broken, subprocess.TimeoutExpired) as error:
        console.print("\n[bold red]The demo failed:[/]")
        console.print(str(error), markup=False, soft_wrap=True)
        explain(story)
        return 1
    finally:
        try:
            stop_cloud(story)
        except Broken as error:
            console.print(str(error), markup=False)
        kill_guests(story.data)
        if not directory:
            shutil.rmtree(story.directory, ignore_errors=True)


if __name__ == "__main__":
    sys.exit(main())
