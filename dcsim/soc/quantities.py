"""The kinds of numbers that a chip's YAML holds."""

from typing import Annotated

from pydantic import BeforeValidator, Field


def _whole(value: object) -> object:
    """350e6 as the integer it is."""
    return int(value) if isinstance(value, float) and value.is_integer() else value


Positive = Annotated[float, Field(gt=0)]
NonNegative = Annotated[float, Field(ge=0)]
Ratio = Annotated[float, Field(ge=0, le=1)]
Count = Annotated[int, Field(gt=0)]
Cycles = Annotated[int, Field(ge=0)]
Hertz = Annotated[int, Field(gt=0), BeforeValidator(_whole)]
WidthBits = Annotated[int, Field(ge=8, le=1024, multiple_of=8)]
