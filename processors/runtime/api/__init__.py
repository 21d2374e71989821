"""Faust's API over epochs: applications, agents, streams, topics, and what of it is supported."""
