"""The kinds of store."""

KINDS = {
    "memory": "vidd.stores.memory",
    "mongo": "vidd.stores.mongo",
    "sqlite": "vidd.stores.sqlite",
}
