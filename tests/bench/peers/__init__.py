"""The same tasks done by others, each a process of its own."""
