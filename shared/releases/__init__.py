"""From a registered model to traffic and back: deployments, the gate, stages of traffic, health, sleep and wake."""
