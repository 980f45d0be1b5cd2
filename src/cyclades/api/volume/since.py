"""What came with which microversion of Cinder's API v3, as far as it shows in what we have.

One table for all rules; the names are ours. A version that is not here changed nothing of the resources
that we have.
"""

from __future__ import annotations

from cyclades.api.http.versions import Version

VOLUME_GROUP_ID = Version(3, 13)
SUMMARY = Version(3, 12)
VOLUME_PROVIDER_ID = Version(3, 21)
DELETE_FORCE = Version(3, 23)
ATTACHMENTS = Version(3, 27)
NAME_FILTER_LIKE = Version(3, 34)
SUMMARY_METADATA = Version(3, 36)
SNAPSHOT_USER_ID = Version(3, 41)
EXTEND_IN_USE = Version(3, 42)
ATTACHMENT_COMPLETE = Version(3, 44)
LIST_COUNT = Version(3, 45)
VOLUME_SHARED_TARGETS = Version(3, 48)
VOLUME_SERVICE_UUID = Version(3, 48)
UNKNOWN_FIELDS_REFUSED = Version(3, 53)
ATTACHMENT_MODE = Version(3, 54)
VOLUME_CLUSTER_NAME = Version(3, 61)
VOLUME_TYPE_ID = Version(3, 63)
VOLUME_ENCRYPTION_KEY_ID = Version(3, 64)
CONSUMES_QUOTA = Version(3, 65)
SNAPSHOT_IN_USE_WITHOUT_FORCE = Version(3, 66)
SHARED_TARGETS_MAY_BE_NULL = Version(3, 69)
