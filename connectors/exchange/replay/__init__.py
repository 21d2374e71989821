"""Recorded raw frames, played again through the code that the live feed uses."""
