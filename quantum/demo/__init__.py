"""The demo: the whole platform on one machine, and what it shows of itself."""
