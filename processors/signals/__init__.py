"""Stage ``signals``: inference by the active models and their ensemble."""
