"""Everything that happened in a lab, in order of time: what is appended, what others write, and one way to ask."""
