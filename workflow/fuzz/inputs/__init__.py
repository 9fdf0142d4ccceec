"""Small valid files to begin with, made here or by the writers of the program; the same each time."""
