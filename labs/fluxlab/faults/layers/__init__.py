"""The faults: a module or a folder for each layer, which lists them as FAULTS in the order in which people read them.

No layer knows another; what only one of them acts and sees with lies beside its faults.
"""
