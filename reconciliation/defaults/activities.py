"""The pass that carries what users did in Outreach into Salesforce, as it is made: off, with nothing to map."""

from __future__ import annotations

ACTIVITIES_PASS = "outreach-activities"
ACTIVITIES_TITLE = "Outreach activities"
# A pass has a mapping table; which field of a Task says what is no customer's to choose, so that this one has no rows.
ACTIVITIES_TABLE = "Activities to tasks"
ACTIVITY_OBJECT = "activity"  # of the peer, for the three types that are read
ACTIVITIES_INTERVAL = 600  # seconds
