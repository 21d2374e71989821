"""Records and table values in Avro: a codec that is registered by name, as schema registries' serializers for Faust are."""

from __future__ import annotations

import io
import os
from typing import Any

import fastavro
import faust
from faust.serializers import codecs

from processors.runtime import App

PREFIX = os.environ["PREFIX"]
SCHEMA = fastavro.parse_schema({
    "type": "record", "name": "Order",
    "fields": [{"name": "account", "type": "string"}, {"name": "amount", "type": "long"}],
})  # fmt: skip


class AvroCodec(codecs.Codec):
    """Orders to Avro and back."""

    def _dumps(self, obj: Any) -> bytes:
        buffer = io.BytesIO()
        fastavro.schemaless_writer(buffer, SCHEMA, obj)
        return buffer.getvalue()

    def _loads(self, s: bytes) -> Any:
        return fastavro.schemaless_reader(io.BytesIO(s), SCHEMA, None)


codecs.register("avro_order", AvroCodec())


class Order(faust.Record, serializer="avro_order", include_metadata=False):
    """An order, and a sum of orders."""

    account: str
    amount: int


app = App(f"{PREFIX}-avro", broker=os.environ["BROKER"])
orders = app.topic(f"{PREFIX}-orders", value_type=Order)
sums = app.topic(f"{PREFIX}-sums", key_type=str, value_type=Order)
held = app.Table("held", key_type=str, value_type=Order, default=lambda: Order("", 0))


@app.agent(orders)
async def add(stream: Any) -> None:
    """Add up by account."""
    async for order in stream.group_by(Order.account):
        total = held[order.account]
        total.account, total.amount = order.account, total.amount + order.amount
        held[order.account] = total
        await sums.send(key=order.account, value=total)


if __name__ == "__main__":
    app.main()
