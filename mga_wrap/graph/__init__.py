"""From any network to a graph of its modules and the chain of its blocks."""
