"""What came with which microversion of Cinder's API v3.

One table for all rules; the names are ours. `NOT_OURS` has the versions that changed only what we do not have.
"""

from __future__ import annotations

from cyclades.api.http.versions import Version

BASE = Version(3, 0)
UPLOAD_VISIBILITY = Version(3, 1)
BOOTABLE_FILTER_STRICT = Version(3, 2)
MESSAGES = Version(3, 3)
GLANCE_METADATA_FILTER = Version(3, 4)
MESSAGE_PAGES = Version(3, 5)
SERVICE_CLUSTER = Version(3, 7)
MANAGEABLE = Version(3, 8)
GROUP_ID_FILTER = Version(3, 10)
SUMMARY = Version(3, 12)
VOLUME_GROUP_ID = Version(3, 13)
SNAPSHOT_GROUP_SNAPSHOT_ID = Version(3, 14)
METADATA_ETAG = Version(3, 15)
MANAGE_IN_CLUSTER = Version(3, 16)
VOLUME_PROVIDER_ID = Version(3, 21)
SNAPSHOT_METADATA_FILTER = Version(3, 22)
DELETE_FORCE = Version(3, 23)
ATTACHMENTS = Version(3, 27)
POOL_NAME_FILTER = Version(3, 28)
SNAPSHOT_SORT_BY_NAME = Version(3, 30)
UNKNOWN_FILTERS_REFUSED = Version(3, 31)
RESOURCE_FILTERS = Version(3, 33)
NAME_FILTER_LIKE = Version(3, 34)
POOL_TYPE_FILTER = Version(3, 35)
SUMMARY_METADATA = Version(3, 36)
LIMITS_OF_A_PROJECT = Version(3, 39)
REVERT = Version(3, 40)
SNAPSHOT_USER_ID = Version(3, 41)
EXTEND_IN_USE = Version(3, 42)
ATTACHMENT_COMPLETE = Version(3, 44)
LIST_COUNT = Version(3, 45)
VOLUME_SHARED_TARGETS = Version(3, 48)
SERVICE_BACKEND_STATE = Version(3, 49)
TYPE_EXTRA_SPECS_FILTER = Version(3, 52)
UNKNOWN_FIELDS_REFUSED = Version(3, 53)
ATTACHMENT_MODE = Version(3, 54)
TRANSFERS_WITH_SNAPSHOTS = Version(3, 55)
TRANSFER_HISTORY = Version(3, 57)
TRANSFER_PAGES = Version(3, 59)
TIME_FILTERS = Version(3, 60)
VOLUME_CLUSTER_NAME = Version(3, 61)
DEFAULT_TYPES = Version(3, 62)
VOLUME_TYPE_ID = Version(3, 63)
CONSUMES_QUOTA = Version(3, 65)
SNAPSHOT_IN_USE_WITHOUT_FORCE = Version(3, 66)
REIMAGE = Version(3, 68)
SHARED_TARGETS_MAY_BE_NULL = Version(3, 69)

_BACKUPS = "backups"
_GROUPS = "groups of volumes"
_ENCRYPTION = "encrypted volumes"
_CLUSTERS = "clusters of services and replication"

NOT_OURS: dict[Version, str] = {
    Version(3, 6): _GROUPS,
    Version(3, 9): _BACKUPS,
    Version(3, 11): _GROUPS,
    Version(3, 17): _CLUSTERS,
    Version(3, 18): _BACKUPS,
    Version(3, 19): _GROUPS,
    Version(3, 20): _GROUPS,
    Version(3, 24): "cleaning up after a service that died: another engine does it by itself",
    Version(3, 25): _GROUPS,
    Version(3, 26): _CLUSTERS,
    Version(3, 29): _GROUPS,
    Version(3, 32): "log levels of services, changed while they run",
    Version(3, 37): _BACKUPS,
    Version(3, 38): _CLUSTERS,
    Version(3, 43): _BACKUPS,
    Version(3, 46): "images without bytes that Nova makes of snapshots",
    Version(3, 47): _BACKUPS,
    Version(3, 50): "only says that types may allow multi-attach, which they may at any version",
    Version(3, 51): _BACKUPS,
    Version(3, 56): _BACKUPS,
    Version(3, 58): _GROUPS,
    Version(3, 64): _ENCRYPTION,
    Version(3, 67): "the project in the URL is optional at any version: the catalog has both",
    Version(3, 70): _ENCRYPTION,
    Version(3, 71): "what Nova says after it has grown a disk: here the operation itself does",
}
