"""Where a row of a user's table lies: on which slice of its image, or of several images, and where in it."""

from collections.abc import Mapping, Sequence
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
import pandas as pd

from pipeline.datasets import Source, instance_row, masks, neighbours, pixel_row
from pipeline.datasets.listed import (
    MASK,
    PIXELS,
    WORLD,
    extent_of,
    image_columns,
    time_of,
    whole,
)
from pipeline.errors import (
    ImageMissingError,
    InputError,
    MissingTagError,
    NoCentreError,
    NoSeriesError,
    OutOfImageError,
    TimeError,
    UnplacedError,
)
from pipeline.readers import dicom, geometry, labels, stacks
from pipeline.readers.index import on_disk
from pipeline.readers.pixels import COLOURS, slice_of
from pipeline.readers.volumes import RAS_TO_LPS, check_time, is_nifti, read_grid


def point_of(row: pd.Series, names: tuple[str, ...]) -> np.ndarray | None:
    """The numbers in these columns, NaN for an empty one, or None if all are empty or absent."""
    cells = [str(row.get(name, "")).strip() for name in names]
    if not any(cells):
        return None
    return np.array([labels.number(cell, Path(row["image"])) if cell else np.nan for cell in cells])


def _check_inside(column: float, row: float, columns: int, rows: int) -> None:
    if not (-0.5 <= column <= columns - 0.5 and -0.5 <= row <= rows - 0.5):
        raise OutOfImageError(
            f"column {column:g}, row {row:g}", expected=f"a point in {columns} columns × {rows} rows"
        )


def _needed(point: np.ndarray, count: int) -> np.ndarray:
    missing = [name for name, value in zip(PIXELS, point[:count], strict=False) if np.isnan(value)]
    if missing:
        names = " and ".join(PIXELS[:count])
        raise NoCentreError(f"no {' and no '.join(missing)}", expected=names, remedy="fill it in")
    return point[:count]


def _in_image(image: pd.Series, pixel: np.ndarray | None, world: np.ndarray | None) -> dict[str, Any]:
    if world is not None:
        raise NoCentreError(
            "x_mm", expected="x and y in pixels: the image has no scale", remedy="fill in x and y"
        )
    size = np.array([image["columns"], image["rows"]])
    column, row = (size - 1) / 2 if pixel is None else _needed(pixel, 2)
    _check_inside(column, row, *map(int, size))
    return {"file": image["file"], **pixel_row(column, row)}


def in_series(series: pd.DataFrame, pixel: np.ndarray | None, world: np.ndarray | None) -> dict[str, Any]:
    """The same in one DICOM series: at a pixel (column, row, slice along the normal), at a point in mm (LPS).

    Without either it is the middle of the middle slice. Raises OutOfImageError and what geometry.locate
    raises.
    """
    if world is not None:
        place = geometry.locate(series, _needed(world, 3))
        return instance_row(place.instance) | pixel_row(place.column, place.row, place.distance_mm)
    if len(series) == 1:
        instance, distance = series.iloc[0], 0.0
        if pixel is not None and abs(pixel[2]) > 0.5:
            raise OutOfImageError(f"z {pixel[2]:g}", expected="z 0 in a series of one slice")
    else:
        along, positions = geometry.ordered(series)
        if pixel is not None:
            geometry.check_regular(positions, along["file"].iloc[0])
        depth = (len(along) - 1) / 2 if pixel is None else float(_needed(pixel, 3)[2])
        if not -0.5 <= depth <= len(along) - 0.5:
            raise OutOfImageError(f"z {depth:g}", expected=f"z from 0 to {len(along) - 1}")
        number = min(max(round(depth), 0), len(along) - 1)
        instance = along.iloc[number]
        distance = float(np.interp(depth, np.arange(len(along)), positions) - positions[number])
    size = np.array([instance["columns"], instance["rows"]])
    column, row = (size - 1) / 2 if pixel is None else _needed(pixel, 2)
    _check_inside(column, row, *map(int, size))
    return instance_row(instance) | pixel_row(column, row, distance)


def _at(series: list[pd.DataFrame], time: int, name: str) -> pd.DataFrame:
    if not 0 <= time < len(series):
        raise TimeError(f"time {time}", file=name, expected=f"a time from 0 to {len(series) - 1}")
    return series[time]


def _in_volume(
    source: Source,
    image: pd.Series,
    pixel: np.ndarray | None,
    world: np.ndarray | None,
    axis: int,
    time: str,
) -> dict[str, Any]:
    grid, path = read_grid(source.raw / image["file"]), Path(image["file"])
    when = time_of(time, grid.times, path)
    check_time(when, grid.times, path)
    shape = np.array(grid.shape)
    if world is not None:
        if not grid.placed:
            raise UnplacedError(
                "sform_code and qform_code 0", file=image["file"],
                expected="a volume that says where it lies",
                remedy="give x, y and z, in voxels, in place of x_mm, y_mm and z_mm",
            )  # fmt: skip
        voxel = np.linalg.solve(grid.affine, np.append(_needed(world, 3), 1.0))[:3]
    else:
        voxel = (shape - 1) / 2 if pixel is None else _needed(pixel, 3)
    if not ((voxel >= -0.5) & (voxel <= shape - 0.5)).all():
        raise OutOfImageError(
            f"voxel {np.round(voxel, 1).tolist()}", expected=f"a point in {shape.tolist()} voxels"
        )
    across, down = (i for i in range(3) if i != axis)
    index = int(np.clip(round(voxel[axis]), 0, shape[axis] - 1))
    spacing = grid.spacing_mm
    return {
        "file": image["file"],
        "slice": f"{axis}:{index}" + ("" if when is None else f":{when}"),
        "spacing_column_mm": f"{spacing[across]:.9g}",
        "spacing_row_mm": f"{spacing[down]:.9g}",
    } | pixel_row(voxel[across], voxel[down], (voxel[axis] - index) * spacing[axis])


def _choice(series: Sequence[pd.DataFrame]) -> str:
    """What to do about several series in a folder: which to name, and how."""
    files = [sorted(set(on_disk(each))) for each in series]
    if all(len(each) == 1 for each in files) and len(set().union(*files)) == len(series):
        return "name a file, in a row for each that is meant"
    if len(set().union(*files)) == 1:
        return "name a frame, such as scan.dcm#3, or export each as a series of its own"
    folders = [{PurePosixPath(file).parent.name for file in each} for each in files]
    if len(set().union(*folders)) < len(series) or any(len(each) > 1 for each in folders):
        if len({uid for each in series for uid in each["series_uid"]}) == len(series):
            return "name one by its SeriesInstanceUID, which ./run draft lists"
        return "give each a folder of its own, and name that"
    # Without the folders above, which may be called as people: a reason is also on pages to pass on.
    listed = sorted(
        f"{folder} ({each['series_description'].iloc[0] or 'no description'}, images: {len(each)})"
        for each, (folder,) in zip(series, folders, strict=True)
    )
    more = f" and {len(listed) - labels.MOST_SHOWN} more" if len(listed) > labels.MOST_SHOWN else ""
    return f"name the folder of one: {', '.join(listed[: labels.MOST_SHOWN])}{more}"


def _named(source: Source, image: str) -> pd.DataFrame:
    """The rows of the index that an image of a table means. Raises ImageMissingError."""
    name = str(PurePosixPath(image))
    found = source.named(name)
    if found.empty:
        raise ImageMissingError("no readable file of that name", file=name)
    return found


def _located(
    source: Source, image: str, pixel: np.ndarray | None, world: np.ndarray | None, time: str, axis: int
) -> dict[str, Any]:
    """The cells of findings.csv of a pixel of an image, of a point in mm (LPS), or else of its middle."""
    name, found = str(PurePosixPath(image)), _named(source, image)
    kind = found["format"].iloc[0]
    if kind == "dicom":
        series = stacks.split(found)
        if time and len(series) > 1 and stacks.are_times(series):
            return in_series(_at(stacks.in_time(series), whole(time, Path(name)), name), pixel, world)
        if len(series) > 1:
            raise NoSeriesError(
                stacks.difference(series), file=name, expected="one series of one contrast in the folder",
                remedy="say which in the column time, counted from 0"
                if stacks.are_times(series)
                else _choice(series),
            )  # fmt: skip
        return in_series(series[0], pixel, world)
    if len(found) > 1:
        raise NoSeriesError(
            f"a folder with {len(found)} images", file=name, expected="one file, or a DICOM series",
            remedy="name the file",
        )  # fmt: skip
    if kind == "volume":
        return _in_volume(source, found.iloc[0], pixel, world, axis, time)
    return _in_image(found.iloc[0], pixel, world)


def point(
    source: Source, row: pd.Series, mask: masks.Mask | None
) -> tuple[np.ndarray | None, np.ndarray | None]:
    """The point of a row or the middle of its mask: as a pixel, and in mm (LPS); None where it has none."""
    if mask:
        if mask.grid and mask.grid.placed:
            return mask.middle, (mask.grid.affine @ [*mask.middle, 1.0])[:3]
        return mask.middle, None
    pixel, world = point_of(row, PIXELS), point_of(row, WORLD)
    if world is not None and is_nifti(_named(source, row["image"])["file"].iloc[0]):
        world = world * np.diag(RAS_TO_LPS)[:3]
    return pixel, world


def locate(
    source: Source, row: pd.Series, axis: int, channels: Sequence[str], mask: masks.Mask | None
) -> dict[str, dict[str, Any]]:
    """The cells of findings.csv, by channel, that say on which slice a row of a table lies, and where in it.

    Of the row count its ``image``, relative to the raw folder ("." is the folder itself), its point, whose
    millimetres are LPS, but RAS for NIfTI, and its ``time``; ``mask`` is that of :func:`mask_of`. Colours and
    neighbouring slices are parts of this image; other channels after the first are images of their own (see
    :func:`pipeline.datasets.listed.headers`).

    Raises NoSeriesError where a picture has no neighbours, or what is no picture no colours, NoCentreError
    where images cannot be matched, and what is wrong with an image or a point.
    """
    image, time = row["image"], str(row.get("time", "")).strip()
    pixel, world = point(source, row, mask)
    if mask and world is not None:
        cells = _in_space(source, image, world, time, axis)
    else:
        cells = _located(source, image, pixel, world, time, axis)
    if tuple(channels) == COLOURS:
        if cells.get("slice") or cells.get("series_uid"):
            raise NoSeriesError("a volume or DICOM", file=image, expected="a picture, for its colours",
                                remedy="leave colour out, or these images")  # fmt: skip
        return {name: {**cells, "slice": name} for name in COLOURS}
    if apart := neighbours.of_channels(channels):
        return {name: neighbours.moved(source, image, cells, mm) for name, mm in apart.items()}
    places = {channels[0]: cells}
    if len(channels) > 1 and world is None:
        world = _world(source, cells)
    columns = image_columns(channels)
    for name, column in list(zip(channels, columns, strict=True))[1:]:
        other = row[column]
        try:
            if other in [row[each] for each in columns[: columns.index(column)]]:
                raise NoSeriesError("the image of another channel", expected="an image of its own for each "
                                    "channel", remedy="correct the name")  # fmt: skip
            if world is not None:
                places[name] = _in_space(source, other, world, time, axis)
                continue
            if pixel is not None:
                _check_size(source, image, _size(source, other))
            places[name] = _located(source, other, pixel, None, time, axis)
        except InputError as error:
            error.file = error.file or other
            raise
    return places


def _in_space(source: Source, image: str, world: np.ndarray, time: str, axis: int) -> dict[str, Any]:
    """The same of a point in mm (LPS) that another image or a mask tells, not the table."""
    try:
        if _named(source, image)["format"].iloc[0] == "image":
            raise UnplacedError("a picture")
        return _located(source, image, None, world, time, axis)
    except UnplacedError as error:
        raise NoCentreError(
            f"none ({error.found})", file=image,
            expected="a place in mm, as the first image or the mask has one",
            remedy="export it with its geometry, or all on one grid without",
        ) from error  # fmt: skip


def are_images(channels: Sequence[str]) -> bool:
    """Whether the channels of a user's own data are images of their own: several, and not parts of one."""
    return len(channels) > 1 and tuple(channels) != COLOURS and not neighbours.of_channels(channels)


def _world(source: Source, cells: Mapping[str, Any]) -> np.ndarray | None:
    """The point in mm (LPS) of cells of findings.csv; None where the image does not say where it lies."""
    column, row, off = (float(cells[name]) for name in ("column", "row", "plane_distance_mm"))
    if "slice" in cells:
        axis, number, _ = slice_of(cells["slice"])
        grid = read_grid(source.raw / cells["file"])
        voxel = np.insert([column, row], axis, number + off / grid.spacing_mm[axis])
        return (grid.affine @ [*voxel, 1.0])[:3] if grid.placed else None
    instance = source.named(cells["file"]).iloc[0]
    try:
        return geometry.plane(instance).to_world(column, row, off) if instance["format"] == "dicom" else None
    except MissingTagError:
        return None


def _normal(source: Source, image: str, axis: int) -> np.ndarray | None:
    """What the slices of an image are perpendicular to (LPS); None where it does not say how it lies."""
    first = _named(source, image).iloc[0]
    try:
        if first["format"] == "volume":
            return read_grid(source.raw / first["file"]).affine[:3, axis]
        return geometry.plane(first).normal if first["format"] == "dicom" else None
    except MissingTagError:
        return None


def _size(source: Source, image: str) -> tuple[int, ...]:
    """Columns, rows and slices of an image; those of a DICOM series are files or frames."""
    found = _named(source, image)
    numbers = found.iloc[0][["columns", "rows", "slices"]].fillna(len(found))
    return tuple(int(number) for number in numbers)


def _check_size(source: Source, image: str, size: tuple[int, ...]) -> None:
    """Raise NoCentreError unless an image is as large, so that a pixel of one is a pixel of the other."""
    if (own := _size(source, image)) != size:
        shown = (" × ".join(map(str, each)) for each in (own, size))
        raise NoCentreError(
            " and ".join(shown), expected="images of one size, or images that know their place in mm",
            remedy="export them on one grid, or with their geometry",
        )  # fmt: skip


def centre_of(row: Mapping[str, Any]) -> str:
    """Where the point of a row comes from: ``given``, its ``mask``, or the middle of its ``image``."""
    if any(str(row.get(name, "")).strip() for name in (*PIXELS, *WORLD)):
        return "given"
    return MASK if str(row.get(MASK, "")).strip() else "image"


def mask_of(source: Source, row: Mapping[str, Any], axis: int) -> masks.Mask | None:
    """That of a row whose point is that of its mask, sliced as its image is: of volumes along ``axis``."""
    if centre_of(row) != MASK:
        return None
    value, time = (str(row.get(name, "")).strip() for name in ("mask_value", "time"))
    normal, first = _normal(source, row["image"], axis), _named(source, row["image"]).iloc[0]
    try:
        mask = masks.read(source.raw / row[MASK], value, time, axis, normal)
        if not (mask.grid and mask.grid.placed):
            _check_size(source, row["image"], mask.shape)
        elif mask.frame and first["format"] == "dicom":
            own = dicom.read_frame_of_reference(source.raw / first["file"])
            if own and own != mask.frame:
                raise NoCentreError(
                    "another", expected="the frame of reference of the image",
                    remedy="take the mask that was drawn on this image, or on one of its session",
                )  # fmt: skip
    except InputError as error:
        error.file = row[MASK]
        raise
    return mask


def extent_of_mask(mask: masks.Mask | None, times: float) -> str:
    """How large a patch is that is so many times as long as its mask; empty without one.

    The longer side of the mask counts, in the slice in which the mask is largest.
    """
    if mask is None:
        return ""
    side, unit = mask.side()
    return extent_of(f"{times * side:.4f} {unit}")
