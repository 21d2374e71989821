"""Which of two processes with one identity was started later."""

from __future__ import annotations

import time

from processors.runtime.kafka.identity import newer, process_name


def test_processes_sort_by_their_start() -> None:
    first = process_name("app-0")
    time.sleep(0.002)
    second = process_name("app-0")
    assert first < second
    assert first.startswith("app-0:")


def test_a_later_process_of_the_same_worker_is_found() -> None:
    older, later = "app-0:100a", "app-0:200b"
    assert newer(older, [f"{later}:7", f"{older}:3"], set()) == later
    assert newer(later, [f"{later}:7", f"{older}:3"], set()) is None


def test_other_workers_and_offsets_of_others_do_not_matter() -> None:
    assert newer("app-0:100a", ["app-1:200b:1", "", "app-10:200b:1", "some metadata"], set()) is None


def test_a_process_from_before_is_no_later_one_whatever_the_clock_said() -> None:
    assert newer("app-0:100a", ["app-0:200b:1"], {"app-0:200b"}) is None
