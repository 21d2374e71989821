"""The loop of a worker: records in, agents, one transaction; failures, order and pace."""
