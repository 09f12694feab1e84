"""What is on record: the tables of states, the rows, the engine that moves a row by one step, fence, claims, budget,
counts."""
