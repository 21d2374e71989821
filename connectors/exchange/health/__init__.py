"""How well a venue is followed: its pace, gaps, delays and round trips, and the word on it for ``health.events``."""
