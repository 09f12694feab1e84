"""What every resource shares on the wire: addresses, documents, refusals, tokens."""
