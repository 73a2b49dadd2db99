"""What a run leaves on the disk: the run file, and beside it the checkpoints from which it continues.

Knows nothing of the physics.  It is told which variables there are, takes their values frame by frame, and keeps both
files readable whatever happens to the process.
"""
