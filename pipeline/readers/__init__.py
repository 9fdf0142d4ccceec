"""Any file as pixels in physical units, and where they lie."""
