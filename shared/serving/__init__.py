"""A question and its answer: keys, the catalog of models, the protocol, the chat service."""
