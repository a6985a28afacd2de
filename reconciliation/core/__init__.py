"""Pure decisions on plain data: no Django, no HTTP, no clock, no randomness. Time arrives as an argument."""
