"""What a subunit stream on standard input says of each test, as a line of JSON each: `name`, `status` (success, fail,
skip, …), `seconds`, `text`.

Runs in the environment of the suites (.venv-conformance), where the stream's own reader is.
"""

from __future__ import annotations

import json
import sys
from typing import Any

from subunit import ByteStreamToStreamResult  # type: ignore[import-not-found]
from testtools import StreamToDict  # type: ignore[import-not-found]


def tell(test: dict[str, Any]) -> None:
    start, end = test["timestamps"]
    seconds = (end - start).total_seconds() if start and end else 0.0
    texts = [part.as_text() for name, part in test["details"].items() if part.content_type.type == "text"]
    line = {"name": test["id"], "status": test["status"], "seconds": seconds, "text": "\n".join(filter(None, texts))}
    print(json.dumps(line))


stream = ByteStreamToStreamResult(sys.stdin.buffer, non_subunit_name="stdout")
result = StreamToDict(tell)
result.startTestRun()
stream.run(result)
result.stopTestRun()
