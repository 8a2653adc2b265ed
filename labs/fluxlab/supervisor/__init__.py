"""The one process that owns a running lab, and how others speak to it."""
