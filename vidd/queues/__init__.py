"""Queues of job ids."""
