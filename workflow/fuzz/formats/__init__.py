"""Changes that know a format a little: lengths and checksums fit, so that what is inside gets read."""
