"""Run a script of Python's, and kill it before the so-manieth line that it comes to for the first time.

killed_at.py NUMBER SCRIPT
"""

import os
import runpy
import signal
import sys
from types import FrameType
from typing import Any

_left = int(sys.argv[1])
_script = sys.argv[2]
_seen: set[int] = set()


def _trace(frame: FrameType, event: str, argument: Any) -> Any:
    global _left
    if frame.f_code.co_filename != _script:
        return None
    if event == "line" and frame.f_lineno not in _seen:
        _seen.add(frame.f_lineno)
        _left -= 1
        if _left < 0:
            os.kill(os.getpid(), signal.SIGKILL)
    return _trace


sys.argv = [_script]
sys.settrace(_trace)
try:
    runpy.run_path(_script, run_name="__main__")
finally:
    sys.settrace(None)
    print(f"\n{len(_seen)}")
