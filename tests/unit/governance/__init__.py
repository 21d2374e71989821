"""Tests of processors/governance."""
