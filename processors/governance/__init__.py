"""Governance: the policy in force, the brains that make it stricter, and the decision on every entry."""
