"""The configuration of the tests' cluster: small, quick to start, everything on 127.0.0.1."""

from __future__ import annotations

import uuid
from pathlib import Path


def conf(directory: Path, port: int, size: int) -> str:
    """`port`: the monitor's; `size`: bytes of an OSD."""
    return f"""[global]
fsid = {uuid.uuid4()}
mon host = [v2:127.0.0.1:{port}]
public addr = 127.0.0.1
cluster addr = 127.0.0.1
ms bind msgr1 = false
auth cluster required = cephx
auth service required = cephx
auth client required = cephx
auth allow insecure global id reclaim = false
keyring = {directory}/$cluster.$name.keyring
run dir = {directory}/run
pid file =
admin socket = {directory}/run/$name.$pid.asok
log file = {directory}/log/$name.log
osd pool default size = 1
osd pool default min size = 1
osd pool default pg autoscale mode = off
osd crush chooseleaf type = 0
mon allow pool size one = true
mon allow pool delete = true
mon warn on pool no redundancy = false
mon data avail warn = 2
mon data avail crit = 1
paxos propose interval = 0.05
mon tick interval = 1
osd heartbeat interval = 2
mgr tick period = 1
osd mon report interval = 1
mon osd down out interval = 0
[mon]
mon data = {directory}/mon.$id
keyring = {directory}/ceph.mon.keyring
[mgr]
mgr data = {directory}/mgr.$id
mgr initial modules =
[osd]
osd data = {directory}/osd.$id
osd objectstore = bluestore
osd class update on start = false
bluestore block create = true
bluestore block size = {size}
bluestore fsck quick fix on mount = false
bluestore cache autotune = false
bluestore cache size = 67108864
osd max pg log entries = 500
osd min pg log entries = 100
osd pg log dups tracked = 100
osd op num shards = 2
osd op num threads per shard = 1
[client]
admin socket =
log file =
"""
