"""Histories of two-way passes: users on both sides, faults, deaths, then rest and the invariants of goals.md."""
