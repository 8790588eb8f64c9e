"""What a network is worth on pictures, and what it costs: quality, masks, MACs part by part, tables of them."""

from mga_wrap.measure.costs import Cost, CostTable, cost_table
from mga_wrap.measure.error_mask import Agreement, agreement, true_mask
from mga_wrap.measure.evaluation import evaluate
from mga_wrap.measure.rows import Row, means

__all__ = ["Agreement", "Cost", "CostTable", "Row", "agreement", "cost_table", "evaluate", "means", "true_mask"]
