"""The pass over calendars, played: seeded histories of two colleagues and Salesforce."""
