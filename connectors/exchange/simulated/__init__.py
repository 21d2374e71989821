"""A venue of our own that speaks Binance's REST and websocket dialect: seeded, on loopback, with no key and no internet.

``quantum venue`` starts it; :class:`connectors.exchange.simulated.server.server.VenueServer` embeds it. From below: `market` (order
books and who trades in them), `account` (orders and money), `dialect` (frames), `venue` (an account that acts in time), `faults`,
`rest`, `server`.
"""
