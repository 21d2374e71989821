"""Tests of processors/risk."""
