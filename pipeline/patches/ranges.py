"""What views are drawn from where they are drawn when they are needed."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Ranges:
    """How far a view may be from the stored patch, drawn uniformly; half of the views are flipped too."""

    rotation: float = 20.0
    """Degrees to either side, as in the stored views."""
    scale: float = 0.12
    """A view shows up to this share more of the image, or of itself less."""
    shift: float = 0.04
    """Of the side, to each of the four sides."""
    brightness: float = 0.2
    """Standard deviations of the series, up or down; in training alone."""


USUAL = Ranges()
MOST_RANGE = {"rotation": 45.0, "scale": 1.0, "shift": 0.5, "brightness": 3.0}
"""Beyond these a view shows little of what the patch shows, and the margin is larger than the patch."""
