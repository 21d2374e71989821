"""What the execution stage remembers."""

from __future__ import annotations

from msgspec import Struct

from schemas.common import OrderStatus
from schemas.execution.records import OrderCommand


class OpenOrder(Struct):
    """An order that is commanded and not over.

    Attributes
    ----------
    command
        The command that submits it.
    status
        Its newest state at the venue; UNKNOWN before the first result.
    updated_ts
        Time of its newest result, microseconds since the epoch, UTC; 0 before the first.
    overdue
        Whether nothing was heard of it in time. Nothing is sent again: the order gateway asks the venue, and an answer
        clears this.
    cancelling
        Whether its cancellation is commanded.
    """

    command: OrderCommand
    status: OrderStatus = OrderStatus.UNKNOWN
    updated_ts: int = 0
    overdue: bool = False
    cancelling: bool = False


class AccountState(Struct):
    """Orders of an account.

    Attributes
    ----------
    open
        Orders that are not over, by client order id.
    commanded
        Client order ids of the newest commands, oldest first: an intent that would make one of them again is dropped.
    """

    open: dict[str, OpenOrder] = {}
    commanded: list[str] = []
