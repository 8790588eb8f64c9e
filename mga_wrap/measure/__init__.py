"""What a network is worth on pictures, and what it costs: quality, masks, MACs part by part, tables of them."""
