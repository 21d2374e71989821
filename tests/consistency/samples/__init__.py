"""Faust programs as readers of Faust's documentation write them; ``App`` is the only import that differs."""
