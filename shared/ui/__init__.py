"""The page that people open in a browser: who is signed in, what each view shows, and the templates that show it."""
