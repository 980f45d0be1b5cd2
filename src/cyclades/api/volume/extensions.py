"""/extensions: which of the parts that Cinder once called extensions there are."""

from __future__ import annotations

from typing import Any

from cyclades.api.http.request import Request
from cyclades.api.http.schemas import shape
from cyclades.api.volume import shapes
from cyclades.api.volume.service import SERVICE

# Name, alias and date are Cinder's: clients look for them.
_EXTENSIONS = (
    ("AdminActions", "os-admin-actions", "2012-08-25", "What admins do to volumes and snapshots."),
    ("AvailabilityZones", "os-availability-zone", "2013-06-27", "Availability zones."),
    ("Capabilities", "capabilities", "2015-08-31", "What a pool can do."),
    ("ExtendedServices", "os-extended-services", "2014-01-10", "Why a service is disabled."),
    ("ExtendedSnapshotAttributes", "os-extended-snapshot-attributes", "2012-06-19", "A snapshot's progress."),
    ("Hosts", "os-hosts", "2011-06-29", "What each pool holds, by project."),
    ("QuotaClasses", "os-quota-class-sets", "2012-03-12", "What projects may have by default."),
    ("Quotas", "os-quota-sets", "2011-08-08", "What a project may have."),
    ("SchedulerHints", "OS-SCH-HNT", "2013-04-18", "Hints where a volume is to lie; taken, and not needed."),
    ("Scheduler_stats", "scheduler-stats", "2014-09-07", "The pools."),
    ("Services", "os-services", "2012-10-28", "The services that drive pools."),
    ("SnapshotActions", "os-snapshot-actions", "2013-07-16", "Actions of snapshots."),
    ("SnapshotManage", "os-snapshot-manage", "2014-12-31", "Take in snapshots that a pool has."),
    ("SnapshotUnmanage", "os-snapshot-unmanage", "2014-12-31", "Let go of snapshots without deleting them."),
    ("TypesExtraSpecs", "os-types-extra-specs", "2011-08-24", "How a type's volumes are kept."),
    ("TypesManage", "os-types-manage", "2011-08-24", "Make and change volume types."),
    ("UsedLimits", "os-used-limits", "2013-10-03", "What a project has, beside what it may have."),
    ("VolumeActions", "os-volume-actions", "2012-05-31", "Actions of volumes."),
    ("VolumeHostAttribute", "os-vol-host-attr", "2011-11-03", "The pool of a volume."),
    ("VolumeImageMetadata", "os-vol-image-meta", "2012-12-07", "What a volume's image said of itself."),
    ("VolumeManage", "os-volume-manage", "2014-02-10", "Take in disks that a pool has."),
    ("VolumeMigStatusAttribute", "os-vol-mig-status-attr", "2013-08-08", "A volume's move to another pool."),
    ("VolumeTenantAttribute", "os-vol-tenant-attr", "2011-11-03", "The project of a volume."),
    ("VolumeTransfer", "os-volume-transfer", "2013-05-29", "Give a volume to another project."),
    ("VolumeTypeAccess", "os-volume-type-access", "2014-06-26", "Private volume types."),
    ("VolumeUnmanage", "os-volume-unmanage", "2012-05-31", "Let go of volumes without deleting them."),
)


_NAMES = ("name", "alias", "updated", "description")
_ANSWER = shape(dict.fromkeys(_NAMES, shapes.TEXT) | {"links": {"type": "array", "maxItems": 0}})


@SERVICE.route("GET", "/extensions", who="reader", answer=shapes.page("extensions", _ANSWER))
async def every(_: Request) -> dict[str, Any]:
    found = [
        {"name": name, "alias": alias, "updated": f"{date}T00:00:00+00:00", "description": text, "links": []}
        for name, alias, date, text in _EXTENSIONS
    ]
    return {"extensions": found}
