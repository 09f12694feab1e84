"""What people may set: the app's settings, hyperparameters, hours, and the options in a `snapshot.json`."""
