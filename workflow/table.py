"""The table of all config keys, ``config/README.md``: ``python -m workflow.table --write``."""

import argparse
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from pipeline.files import write_text
from pipeline.provenance import ROOT
from workflow import schema

HEADING = """\
<!-- Generated from workflow/config.schema.yaml: python -m workflow.table --write -->
# Configuration

`config/config.yaml` is the papers' experiment with rates that move the weights. Another file is laid over it:
`./run --configfile config/paper.yaml`. Lists replace, mappings merge, and single keys can be set with
`--config 'seeds=[0, 1]'`. Unknown keys are refused, with the nearest one that exists.

| file | what it is |
|---|---|
| [config.yaml](config.yaml) | PROSTATEx with LUNGx and brain MRI, 10,000 epochs, five seeds |
| [paper.yaml](paper.yaml) | the same exactly as published, oddities included |
| [thesis.yaml](thesis.yaml) | the thesis' first part: three channels, PROSTATEx alone, the challenge |
| [demo.yaml](demo.yaml) | synthetic data, minutes on two cores: `./run demo` |
| [three-sets.yaml](three-sets.yaml) | brain MRI, breast ultrasound and chest X-rays, no DICOM needed |
| [datasets.csv](datasets.csv) | where to get each collection: DOI, licence, size, citation |
| [labels.csv](labels.csv) | label files of the collections: SHA-256, and the address or how to get them |
| [publications.csv](publications.csv) | papers of methods and data sets, for `./run cite` |

Where the published way differs from the right one, a key takes the value `paper`; right is the default.
"""


def rows(properties: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, dict[str, Any]]]:
    """Every key below ``properties``, with its path and its part of the schema."""
    for name, child in properties.items():
        part, path = schema.resolve(child), f"{prefix}{name}"
        if "properties" in part and "properties" in child:
            yield from rows(part["properties"], f"{path}/")
        else:
            yield path, part


def table(properties: Mapping[str, Any]) -> str:
    """The keys below ``properties`` as a table in Markdown."""
    lines = ["| key | type and range | unit | default | meaning |", "|---|---|---|---|---|"]
    for path, part in rows(properties):
        default = f"`{schema.spell(part['default'])}`" if "default" in part else "required"
        cells = [
            f"`{path}`",
            schema.describe(part),
            part.get("unit", ""),
            default,
            part.get("description", ""),
        ]
        lines.append("| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |")
    return "\n".join(lines)


def readme() -> str:
    """What config/README.md has to say."""
    whole = schema.load()
    parts = [HEADING, "## Keys", "", table(whole["properties"])]
    parts += [
        "",
        "## `hyperparameters/{method}/{step}`",
        "",
        "Defaults; `config/config.yaml` sets others for most steps.",
        "",
    ]
    parts.append(table(whole["$defs"]["step"]["properties"]))
    for kind in whole["properties"]["collections"]["additionalProperties"]["properties"]["kind"]["enum"]:
        part = whole["$defs"][kind]
        parts += ["", f"## `collections/{{dataset}}` of `kind: {kind}`", "", f"{part['description']}.", ""]
        parts.append(table({name: entry for name, entry in part["properties"].items() if name != "kind"}))
    return "\n".join(parts) + "\n"


def main(argv: Sequence[str] | None = None) -> None:
    """Print config/README.md, or write it."""
    parser = argparse.ArgumentParser(prog="python -m workflow.table", description=main.__doc__)
    parser.add_argument("--write", action="store_true", help="write config/README.md")
    if parser.parse_args(argv).write:
        write_text(ROOT / "config" / "README.md", readme())
    else:
        print(readme(), end="")


if __name__ == "__main__":
    main()
