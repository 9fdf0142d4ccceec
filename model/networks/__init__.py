"""Networks: each other module here is one that ``network`` in the config may name; see ``base``."""
