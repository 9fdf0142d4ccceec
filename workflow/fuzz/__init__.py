"""Look for inputs that break a reader: small valid files, changed at random, read as the steps read them."""
