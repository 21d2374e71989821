"""Sockets: listeners, streams, the control endpoint, and what drives it all."""
