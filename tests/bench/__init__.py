"""Benchmarks: ``make bench``, or ``python -m tests.bench --only NAME``. They time, print and write; they never fail for being slow."""
