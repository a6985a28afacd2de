"""Histories of the pass over mailboxes: their users, users of Salesforce, faults, deaths, then rest and the invariants."""
