"""Leaving a group at once although its member is static.

librdkafka has no call for it: a static member that closes keeps its partitions until its session times out, which is what a restart
wants and a stop does not. Faust's own client speaks the request's older versions only, so the one that names static members is here.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Any

from aiokafka.client import AIOKafkaClient, ConnectionGroup, CoordinationType  # type: ignore[import-untyped]  # no stubs
from aiokafka.errors import KafkaError  # type: ignore[import-untyped]  # no stubs
from aiokafka.protocol.api import Request, RequestStruct, Response  # type: ignore[import-untyped]  # no stubs
from aiokafka.protocol.types import Array, Int16, Int32, Schema, String  # type: ignore[import-untyped]  # no stubs

from quantum.errors import RetryError

log = logging.getLogger(__name__)


class _LeaveResponse(Response):  # type: ignore[misc]  # aiokafka has no types
    API_KEY = 13
    API_VERSION = 3
    SCHEMA = Schema(
        ("throttle_time_ms", Int32),
        ("error_code", Int16),
        ("members", Array(("member_id", String("utf-8")), ("group_instance_id", String("utf-8")), ("error_code", Int16))),
    )


class _LeaveStruct(RequestStruct):  # type: ignore[misc]  # aiokafka has no types
    API_KEY = 13
    API_VERSION = 3
    RESPONSE_TYPE = _LeaveResponse
    SCHEMA = Schema(("group", String("utf-8")), ("members", Array(("member_id", String("utf-8")), ("group_instance_id", String("utf-8")))))


class _Leave(Request[_LeaveStruct]):  # type: ignore[misc]  # aiokafka has no types
    API_KEY = 13

    def __init__(self, group: str, instance: str, member: str) -> None:
        self._group = group
        self._instance = instance
        self._member = member

    def build(self, request_struct_class: type[_LeaveStruct]) -> _LeaveStruct:
        return request_struct_class(self._group, [(self._member, self._instance)])


async def remove_member(servers: str, security: Mapping[str, Any], group: str, instance: str, member: str) -> None:
    """Take a static member out of its group, so that its partitions move now.

    Parameters
    ----------
    servers, security
        How to reach the cluster.
    group
        The group.
    instance
        The member's static identity.
    member
        What the group calls this process: where another has taken the identity since, that one stays. Empty for whichever has it.

    Raises
    ------
    RetryError
        The cluster does not answer.
    """
    client = AIOKafkaClient(bootstrap_servers=servers, **security)
    try:
        await client.bootstrap()
        node = await client.coordinator_lookup(CoordinationType.GROUP, group)
        answer = await client.send(node, _Leave(group, instance, member), group=ConnectionGroup.COORDINATION)
        log.info("left group %s as %s: %s", group, instance, answer)
    except KafkaError as error:
        raise RetryError(f"group {group} cannot be left: {error!r}", "its session timeout ends the membership") from error
    finally:
        await client.close()
