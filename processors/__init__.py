"""The stream stages, their topology and what runs them."""
