"""The door to a Supabase project: its address and keys, calls with retries, and every table and function."""
