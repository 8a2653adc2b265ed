"""What the parts of a rehearsal's file have in common: no unknown field, and often exactly one of several."""

from typing import Self

from pydantic import BaseModel, BeforeValidator, ConfigDict, GetJsonSchemaHandler, model_validator
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema


def _as_tuple(value: object) -> object:
    return tuple(value) if isinstance(value, list) else value


Many = BeforeValidator(_as_tuple)
"""A list in YAML is a tuple here."""


class Model(BaseModel):
    """A part of a file, in which every field is known."""

    model_config = ConfigDict(extra="forbid", frozen=True, populate_by_name=True, allow_inf_nan=False)


class OneOf(Model):
    """Exactly one of some fields says what is meant."""

    @classmethod
    def ways(cls) -> tuple[str, ...]:
        """The fields of which there is exactly one."""
        raise NotImplementedError

    def way(self) -> str:
        """The one that is there."""
        return next(name for name in self.ways() if getattr(self, name) is not None)

    @model_validator(mode="after")
    def _exactly_one(self) -> Self:
        given = [name for name in self.ways() if getattr(self, name) is not None]
        if len(given) != 1:
            known = ", ".join(name.rstrip("_") for name in self.ways())
            raise ValueError(f"exactly one of {known} has to be there, not {', '.join(given) or 'none'}")
        return self

    @classmethod
    def __get_pydantic_json_schema__(cls, core: CoreSchema, handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        """Say the same to editors."""
        schema = handler(core)
        handler.resolve_ref_schema(schema)["oneOf"] = [{"required": [name]} for name in cls.ways()]
        return schema
