"""A day on the simulated venue with every fault injected at random; see `tests.consistency.day.__main__`."""
