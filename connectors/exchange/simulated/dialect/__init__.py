"""Frames and rows as the venue writes them."""
