"""Jobs are sent once, and found again: with a queue that behaves as Ganeti's, and answers that get lost."""

from __future__ import annotations

import asyncio
import urllib.parse
from collections.abc import AsyncIterator
from typing import Any

import pytest
from tests.backends.ganeti.trail import KeptTrail
from tests.backends.ganeti.wire import Asked, BreakOff, Explained, Wire
from tests.backends.ground import until

from cyclades.backends.ganeti import jobs
from cyclades.backends.ganeti.jobs import Ask, Jobs
from cyclades.backends.ganeti.rapi import Rapi, Unheard
from cyclades.model.errors import Away, Failed

ASK = Ask("PUT", "/2/instances/x/startup", {})


class Queue:
    """Jobs as Ganeti has them. `lose`: the answer to a new job gets lost; `deaf`: the request itself does."""

    def __init__(self) -> None:
        self.jobs: dict[int, dict[str, Any]] = {}
        self.lose = self.deaf = self.unread = False
        self.refusal: Explained | None = None

    def __call__(self, asked: Asked) -> Any:
        path, _, query = asked.path.partition("?")
        if path == "/2/query/job":
            if self.unread:
                raise Explained(502, "Can't connect to master daemon")
            return self._rows(asked.body)
        if path.endswith("/wait"):
            job = self.jobs.get(int(path.split("/")[3]), {"status": None})
            before = asked.body["previous_job_info"]
            return None if before == [job["status"]] else {"job_info": [job["status"]], "log_entries": []}
        if self.refusal is not None:
            raise self.refusal
        if self.deaf:
            raise BreakOff
        number = len(self.jobs) + 1
        reason = urllib.parse.parse_qs(query).get("reason", [""])[0]
        ops = [{"OP_ID": "OP_INSTANCE_STARTUP", "reason": [["gnt:user", reason, 1], ["gnt:opcode:x", "job=1", 2]]}]
        self.jobs[number] = {"id": number, "status": "success", "opresult": [None], "oplog": [[]], "ops": ops}
        if self.lose:
            raise BreakOff
        return number

    def _rows(self, body: Any) -> Any:
        found = list(self.jobs.values())
        if body["qfilter"] is not None:
            _, *wanted = body["qfilter"]
            found = [self.jobs.get(number, {"id": number}) for _, _, number in wanted]
        return {"data": [[[0, job.get(name)] for name in body["fields"]] for job in found], "fields": []}


@pytest.fixture
def queue(wire: Wire, monkeypatch: pytest.MonkeyPatch) -> Queue:
    monkeypatch.setattr(jobs, "_LEAST", 0.01)
    monkeypatch.setattr(jobs, "_SETTLED", 0.01)
    queue = Queue()
    wire.answer = queue
    return queue


def queries(wire: Wire) -> list[Asked]:
    return [asked for asked in wire.asked if asked.path == "/2/query/job"]


@pytest.fixture
async def followed(queue: Queue, rapi: Rapi) -> AsyncIterator[Jobs]:
    made = Jobs(rapi)
    yield made
    await made.close()


async def test_a_job_is_sent_with_its_mark_and_kept_before_it_is_waited_for(
    followed: Jobs, queue: Queue, wire: Wire
) -> None:
    trail = KeptTrail()
    job = await followed.run("start", ASK, trail)
    assert (job.id, job.status) == (1, "success")
    assert trail.kept == {"start": "1"}
    assert queue.jobs[1]["ops"][0]["reason"][0][1] == "cyclades:op:step:do:start"
    assert wire.asked[0].path.startswith("/2/instances/x/startup?reason=")


async def test_an_earlier_try_is_found_by_its_id_and_not_sent_again(followed: Jobs, queue: Queue, wire: Wire) -> None:
    trail = KeptTrail()
    await followed.run("start", ASK, trail)
    del wire.asked[:]
    earlier = await followed.earlier("start", trail)
    assert earlier is not None
    assert earlier.id == 1
    assert len(queue.jobs) == 1
    assert all(asked.body["qfilter"] for asked in queries(wire))  # the queue was not searched
    assert await followed.earlier("stop", trail) is None
    assert await followed.earlier("start", KeptTrail("cyclades:op:step:undo")) is None


async def test_a_lost_answer_the_job_is_found_by_its_mark(followed: Jobs, queue: Queue) -> None:
    trail = KeptTrail()
    await followed.run("start", ASK, KeptTrail("cyclades:op:other:do"))
    queue.lose = True
    with pytest.raises(Away):
        await followed.run("start", ASK, trail)
    earlier = await followed.earlier("start", trail)
    assert earlier is not None
    assert (earlier.id, trail.kept) == (2, {"start": "2"})
    assert len(queue.jobs) == 2


async def test_a_lost_request_is_sent_again_once_the_queue_lacks_it(followed: Jobs, queue: Queue, wire: Wire) -> None:
    trail = KeptTrail()
    queue.deaf = True
    with pytest.raises(Away):
        await followed.run("start", ASK, trail)
    queue.deaf, queue.unread = False, True
    with pytest.raises(Away, match="master daemon"):
        await followed.earlier("start", trail)  # nobody can say; so it is not sent
    assert trail.kept == {"start": "asked"}
    queue.unread = False
    del wire.asked[:]
    assert await followed.earlier("start", trail) is None
    assert len(wire.asked) == 2  # the queue was read twice: a request may be on its way
    assert trail.kept == {}
    assert (await followed.run("start", ASK, trail)).id == 1


async def test_a_request_that_reaches_the_queue_late_is_found(followed: Jobs, queue: Queue, wire: Wire) -> None:
    trail = KeptTrail()
    await followed.run("start", ASK, trail)
    trail.kept["start"] = "asked"
    late = queue.jobs.pop(1)
    reads = 0

    def answer(asked: Asked) -> Any:
        nonlocal reads
        reads += 1
        said = queue(asked)
        queue.jobs[1] = late
        return said

    wire.answer = answer
    earlier = await followed.earlier("start", trail)
    assert earlier is not None
    assert earlier.id == 1


@pytest.mark.parametrize(
    ("refusal", "fault"), [(Explained(500, "Queue drained"), Unheard), (Explained(400, "no"), Failed)]
)
async def test_what_was_refused_was_not_sent(
    followed: Jobs, queue: Queue, refusal: Explained, fault: type[Exception]
) -> None:
    trail = KeptTrail()
    queue.refusal = refusal
    with pytest.raises(fault):
        await followed.run("start", ASK, trail)
    assert trail.kept == {}


async def test_many_jobs_are_followed_by_one_query(followed: Jobs, queue: Queue, wire: Wire) -> None:
    numbers = [await followed._send("start", ASK, None) for _ in range(20)]
    for number in numbers:
        queue.jobs[number]["status"] = "running"
    waiting = [asyncio.create_task(followed.end_of(number)) for number in numbers]
    del wire.asked[:]
    await until(lambda: len(queries(wire)) >= 3)
    assert all(len(asked.body["qfilter"]) == 21 for asked in queries(wire))
    assert len({asked.path for asked in wire.asked} - {"/2/query/job"}) <= 1  # of one job it is heard
    for number in numbers:
        queue.jobs[number]["status"] = "success"
    assert [job.id for job in await asyncio.gather(*waiting)] == numbers


async def test_the_end_of_a_single_job_is_heard_at_once(
    followed: Jobs, queue: Queue, wire: Wire, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(jobs, "_ALONE", 3600.0)
    number = await followed._send("start", ASK, None)
    queue.jobs[number]["status"] = "running"
    waiting = asyncio.create_task(followed.end_of(number))
    await until(lambda: len(wire.asked) >= 4)
    assert queries(wire) == []
    queue.jobs[number]["status"] = "success"
    assert (await waiting).status == "success"
    assert len(queries(wire)) == 1


async def test_a_job_that_ganeti_knows_no_more_is_lost(followed: Jobs) -> None:
    assert (await followed.end_of(99)).status == "lost"


async def test_who_waits_is_told_that_the_cluster_is_away(followed: Jobs, queue: Queue, wire: Wire) -> None:
    number = await followed._send("start", ASK, None)
    queue.unread = True
    with pytest.raises(Away, match="master daemon"):
        await followed.end_of(number)
    queue.unread = False
    assert (await followed.end_of(number)).status == "success"


async def test_what_a_job_says_is_read_to_its_end(followed: Jobs, queue: Queue) -> None:
    number = await followed._send("start", ASK, None)
    queue.jobs[number] |= {
        "status": "success",
        "opresult": [[["disk/1", "add:size=8,mode=rw"], ["disk/1", "hotplug:failed"]]],
        "oplog": [[[1, [1, 2], "message", " - WARNING: Could not hotplug device: no"]]],
    }
    job = await followed.end_of(number)
    assert job.result == [["disk/1", "add:size=8,mode=rw"], ["disk/1", "hotplug:failed"]]
    assert job.log == (" - WARNING: Could not hotplug device: no",)


async def test_closing_tells_who_waits(followed: Jobs, queue: Queue) -> None:
    number = await followed._send("start", ASK, None)
    queue.jobs[number]["status"] = "running"
    waiting = asyncio.create_task(followed.end_of(number))
    await asyncio.sleep(0)
    await followed.close()
    with pytest.raises(Away):
        await waiting
