"""The catalogue: a module or a folder for each layer of a lab, whose faults are in its FAULTS, in this order."""
