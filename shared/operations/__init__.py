"""What people and timers ask for: actions, status, the sweep, the nightly report, orphans; and which step handler
moves which state."""
