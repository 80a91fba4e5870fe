"""The kinds of store."""

KINDS = {
    "memory": "vidd.stores.memory",
    "sqlite": "vidd.stores.sqlite",
}
