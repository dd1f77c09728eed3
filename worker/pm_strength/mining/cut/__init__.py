"""Mining cut into pieces, for machines that hold a part of the events each.

Reads along the data: rows (events as they travel), survey (what one pass over all rows tells), plan (the
pieces), route (rows to their pieces), piece (a piece to lessons).
"""
