"""Proofs about `infra/` that need no Azure and no compiler."""
