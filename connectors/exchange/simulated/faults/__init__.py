"""Faults in force, and what becomes of frames."""
