"""A venue of our own that speaks Binance's REST and websocket dialect: seeded, on loopback, with no key and no internet.

``python -m connectors.exchange.simulated --help`` starts it; :class:`connectors.exchange.simulated.server.VenueServer` embeds it.
"""
