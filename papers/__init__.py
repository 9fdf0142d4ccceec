"""What only the papers need: their numbers, tables, figures and challenge."""
