"""Checks a GraphQL document without asking a server: its operation, its variables, the fields it selects."""

from __future__ import annotations

from collections.abc import Iterable

from graphql import (
    DocumentNode,
    FieldNode,
    GraphQLSyntaxError,
    NonNullTypeNode,
    OperationDefinitionNode,
    Visitor,
    parse,
    visit,
)


def check_document(text: str, operation: str, *, selects: Iterable[str], variables: Iterable[str] = ()) -> None:
    """ValueError if the document cannot be parsed, is another operation, does not select a path, or has other variables.

    The names of a path are response keys: a field's alias, if it has one.
    """
    try:
        document = parse(text)
    except GraphQLSyntaxError as error:
        line = error.locations[0].line if error.locations else 1
        why = error.message.removeprefix("Syntax Error: ").rstrip(".")
        raise ValueError(f"the document is no GraphQL: {why} (line {line})") from None
    operations = [definition for definition in document.definitions if isinstance(definition, OperationDefinitionNode)]
    if [definition.operation.value for definition in operations] != [operation]:
        raise ValueError(f"the document must be one {operation}")
    given = set(variables)
    declared = {definition.variable.name.value: definition for definition in operations[0].variable_definitions or ()}
    for name in sorted(given - declared.keys()):
        raise ValueError(f"the document has no variable ${name}")
    for name, definition in declared.items():
        if name not in given and definition.default_value is None and isinstance(definition.type, NonNullTypeNode):
            raise ValueError(f"nothing gives the document its variable ${name}: add it to `variables`")
    selected = response_keys(document)
    for path in selects:
        for name in path.split("."):
            if name not in selected:
                raise ValueError(f"the document does not select {name!r}")


def response_keys(document: DocumentNode) -> set[str]:
    """All names that an answer to the document may have."""
    keys: set[str] = set()

    class Collector(Visitor):
        def enter_field(self, node: FieldNode, *_: object) -> None:
            keys.add((node.alias or node.name).value)

    visit(document, Collector())
    return keys
