"""What faults of several layers act and see with; none of them is in here."""
