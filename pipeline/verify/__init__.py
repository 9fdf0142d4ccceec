"""Can the patches be trusted? ``python -m pipeline.verify data/prostatex --raw data/raw/prostatex``."""
