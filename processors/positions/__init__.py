"""Stage `positions`: positions, equity and exposure from fills and marks."""
