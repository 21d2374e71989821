"""REST endpoints, and what every request passes."""
