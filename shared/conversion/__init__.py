"""Chat data in the shapes of others: which shape rows are in, and how each row becomes messages. No I/O.

`recognise` looks at the first rows and names every shape that they may be in; `Converter` makes messages of each row in
the one that was chosen. Who reads the rows, and from where, does not matter: the command line reads files, validation
asks only what a refused file looks like. The same row always becomes the same messages.
"""

from shared.conversion.converter import Converted, Converter
from shared.conversion.recognition import ColumnChoice, recognise
from shared.conversion.values import Reading, UnknownColumn

__all__ = ["ColumnChoice", "Converted", "Converter", "Reading", "UnknownColumn", "recognise"]
