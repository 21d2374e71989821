"""Stage `exits`: the exit brain."""
