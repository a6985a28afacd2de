"""What a person may do. Every action goes through here; each writes who did it and why."""
