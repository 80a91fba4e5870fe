"""Asyncio building blocks: shielding, retry, batching, bounded concurrency, timeouts. Standard library only."""
