"""Pipeline jobs: submission checks, orchestration of the child process, run history and logs."""
