"""Managed online endpoints and the deployments behind them."""
