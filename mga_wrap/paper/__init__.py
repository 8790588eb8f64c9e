"""The published networks: what they cost, beside the tables that the paper prints."""
