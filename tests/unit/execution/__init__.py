"""Tests of processors/execution."""
