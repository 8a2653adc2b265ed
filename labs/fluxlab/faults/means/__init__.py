"""What faults of several layers act and see with: no fault is in here."""
