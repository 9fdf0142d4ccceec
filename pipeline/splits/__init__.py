"""Who is who, and which split each person is in."""
