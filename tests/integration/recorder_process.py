"""``quantum record`` over a topic of its own, in a process to be killed: ``python -m tests.integration.recorder_process TOPIC FOLDER``."""

from __future__ import annotations

import sys
from dataclasses import replace

from processors.topology import NODES, TOPICS, Node, Topic
from quantum.cli import main

RAW = "exchange.raw"


def renamed(topic: str) -> tuple[Topic, Node]:
    """Return the topic of frames, and the recorder that reads it, under another name: other tests' frames are on the real one."""
    return replace(TOPICS[RAW], name=topic), replace(NODES["recorder"], reads=(topic,))


if __name__ == "__main__":
    TOPICS[sys.argv[1]], NODES["recorder"] = renamed(sys.argv[1])
    main(["record", sys.argv[2]])
