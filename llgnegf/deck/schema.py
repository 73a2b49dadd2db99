"""The tables of a deck as a JSON schema, with which editors complete keys and mark mistakes.

Only words that mean the same in every draft of JSON schema from 4 on, because the editors' extensions differ in what
they read.  What several keys together allow (`conflicts.py`) is left to `llgnegf check`.
"""

from __future__ import annotations

from typing import Any

from pydantic.json_schema import GenerateJsonSchema

from llgnegf.beside import integrators
from llgnegf.deck.tables import METHOD_TABLES, Root, root

DIALECT = "http://json-schema.org/draft-07/schema#"
TITLE = "llgnegf deck"


class _Plain(GenerateJsonSchema):
    """Without null, which TOML does not have: a key that may be absent is left out."""

    def nullable_schema(self, schema: Any) -> dict[str, Any]:
        return self.generate_inner(schema["schema"])

    def default_schema(self, schema: Any) -> dict[str, Any]:
        result = super().default_schema(schema)
        if result.get("default") is None or "$ref" in result:  # the defaults of a table are in the table
            result.pop("default", None)
        return result

    def literal_schema(self, schema: Any) -> dict[str, Any]:
        return {"enum": schema["expected"]}

    def tagged_union_schema(self, schema: Any) -> dict[str, Any]:
        result = super().tagged_union_schema(schema)
        result.pop("discriminator", None)  # a word of OpenAPI
        return result

    def field_title_should_be_set(self, schema: Any) -> bool:
        return False


def deck_schema() -> dict[str, Any]:
    """The JSON schema (draft-07) of a deck, made from the tables: every key with what it accepts and its default."""
    schema = root().model_json_schema(ref_template="#/definitions/{model}", schema_generator=_Plain)
    tables = schema.pop("$defs")
    # What the rules of these keys leave to `conflicts.py`: the names that there are.
    tables["Integrator"]["properties"]["method"]["enum"] = list(integrators.METHODS)
    tables["Electrons"]["properties"]["method"]["enum"] = list(METHOD_TABLES)
    schema["properties"]["texture"] = {
        "description": "The moments at the beginning; `kind` decides which keys there are.",
        "oneOf": [{"$ref": f"#/definitions/{table.__name__}"} for table in Root.TEXTURES.values()],
    }
    return {"$schema": DIALECT, **schema, "title": TITLE, "definitions": tables}
