"""Types that the keys of a config have in common: ranges and units stand here, meanings beside the keys."""

from collections.abc import Callable
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, WrapValidator, field_validator
from pydantic_core import PydanticCustomError


class Section(BaseModel):
    """A mapping of known keys: its docstring says what it is about, the text below a key what that means."""

    model_config = ConfigDict(extra="forbid", strict=True)

    @field_validator("*")
    @classmethod
    def once(cls, value: Any) -> Any:
        """No list of a config has a value twice."""
        if isinstance(value, list) and any(entry in value[:place] for place, entry in enumerate(value)):
            raise PydanticCustomError("twice", "a value twice")
        return value


def in_unit(unit: str) -> Any:
    """The unit of a number, for the table of keys."""
    return Field(json_schema_extra={"unit": unit})


def _as_written(value: Any, check: Callable[[Any], Any]) -> Any:
    check(value)
    return value


AS_WRITTEN = WrapValidator(_as_written)
"""Whole or not: 1 stays 1, so that what is handed to a step is what was written."""
Natural = Annotated[int, Field(ge=0)]
Positive = Annotated[int, Field(ge=1)]
Text = Annotated[str, Field(min_length=1)]
Name = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_-]*$", examples=["prostatex"])]
Views = Annotated[int, Field(ge=1, le=246), in_unit("views")]
Pixels = Annotated[int, Field(ge=8, le=1024), in_unit("pixels")]
Share = Annotated[float, Field(gt=0, lt=1), AS_WRITTEN, in_unit("fraction")]
