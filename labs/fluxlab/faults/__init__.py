"""Faults: what can be broken on purpose, with a proof that it was, and a proof that it is whole again.

`base` says what a fault is. The faults are in `layers`, a module or a folder for each layer of a lab; what several
layers act and see with is in `means`. `catalogue` has all faults by name, `descriptions` has them in words. `choosing`
makes a plan of what somebody asks for, `cases` holds one fault that is on record, `injecting` and `healing` put it in
and take it out.
"""
