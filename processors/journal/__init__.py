"""Stage `journal`: round trips with fees, slippage and attribution."""
