"""What runs inside a job: the steps of the chat completion pipeline on the job's own data."""
