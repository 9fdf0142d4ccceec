"""What the Snakefile and ./run need: config, code digests, arguments."""
