"""A cloud on one machine that runs the app unmodified; see docs/local-cloud.md. The app never imports it."""
