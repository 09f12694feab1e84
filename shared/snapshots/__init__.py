"""From a dropped file to frozen rows: intake, validation as a step, limits, admission, quarantine."""
