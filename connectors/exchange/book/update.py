"""What one depth frame says, in exact whole numbers, whichever venue said it."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

NOT_STATED = -1
Level = tuple[int, int]
"""Key and size. The key is the price in units of the last decimal place, negative for a bid, so that the best level of either
side has the smallest key; the size is in units of its own last decimal place, and 0 removes the level."""


class DepthUpdate(msgspec.Struct, frozen=True, kw_only=True):
    """A snapshot of a book, or the changes that lead from one state of it to a later one.

    A diff covers the update ids after ``previous`` up to and including ``last`` and states the sizes as they are at
    ``last``. So it can be applied to the book of any id from ``previous`` on, and says nothing new to a book of ``last`` or later.

    Attributes
    ----------
    snapshot : bool
        Whether it states every level down to its last one.
    last : int
        Update id that it brings the book to.
    previous : int
        Update id that it follows; of a snapshot -1.
    resets : bool
        Whether a snapshot starts the venue's numbering anew: it is right whatever came before.
    mark : int
        A number that never falls at the venue, not even when the numbering starts anew; -1 where it has none.
    whole_bids, whole_asks : bool
        Whether a snapshot leaves no level of a side out; else nothing is known beyond its last level.
    price_places, size_places : int
        Decimal places of the keys and of the sizes.
    bids, asks : list
        Levels.
    """

    snapshot: bool
    last: int
    previous: int = NOT_STATED
    resets: bool = False
    mark: int = NOT_STATED
    whole_bids: bool = False
    whole_asks: bool = False
    price_places: int = 0
    size_places: int = 0
    bids: list[Level] = []
    asks: list[Level] = []


def exact_levels(bids: Sequence[tuple[str, str]], asks: Sequence[tuple[str, str]]) -> tuple[int, int, list[Level], list[Level]]:
    """Return decimal places of prices and of sizes, and the levels of both sides, from the venue's decimal text.

    Raises
    ------
    ValueError
        A price is not positive, a size is negative, or a text is no plain decimal number.
    """
    prices, price_places = _whole([price for price, _ in bids] + [price for price, _ in asks])
    sizes, size_places = _whole([size for _, size in bids] + [size for _, size in asks])
    if prices and min(prices) <= 0:
        raise ValueError("a level has a price of 0")
    split = len(bids)
    below = [(-price, size) for price, size in zip(prices[:split], sizes[:split], strict=True)]
    return price_places, size_places, below, list(zip(prices[split:], sizes[split:], strict=True))


def _whole(texts: list[str]) -> tuple[list[int], int]:
    """Return unsigned decimal numbers as whole ones of a common unit, and the decimal places of that unit."""
    parts = []
    places = 0
    for text in texts:
        whole, _, fraction = text.partition(".")
        fraction = fraction.rstrip("0")
        if len(fraction) > places:
            places = len(fraction)
        parts.append((whole, fraction))
    found = []
    for whole, fraction in parts:
        digits = whole + fraction
        if not (digits.isdecimal() and digits.isascii()) and digits != "":
            raise ValueError(f"{whole}.{fraction} is no decimal number")
        if not whole:
            raise ValueError("a number has no digit before its point")
        found.append(int(digits.ljust(len(whole) + places, "0")))
    return found, places
