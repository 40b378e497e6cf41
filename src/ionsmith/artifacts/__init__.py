"""Shipped weights and tables, each in a folder of its own with a card that says what it is and how to rebuild it."""
