"""From raw downloads to patch stores: index → findings → slices → patches → splits."""
