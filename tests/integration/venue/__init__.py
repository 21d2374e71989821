"""The simulated venue over real sockets: what a client of Binance relies on."""
