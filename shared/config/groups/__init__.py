"""The fields of `shared.config.settings.Settings`, a file for each group of them. Add a setting here."""
