"""How `droptune prepare` makes a snapshot: inputs are found, their rows read, converted, checked, sampled and written.

    inputs, hub -> containers, readers -> shared.validation.prepared_rows -> writing

All of it streams, both ways: memory does not grow with the input. Never deployed.
"""
