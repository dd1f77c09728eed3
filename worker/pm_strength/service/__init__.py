"""The worker as a service: its loops, jobs and runs, health, metrics and logs."""
