"""What a run leaves on the disk: the run file, and beside it the checkpoints from which it continues.

Knows nothing of the physics.  It is told which variables there are, takes their values frame by frame, and keeps both
files readable whatever happens to the process.

layout.py      names, dimensions, checksums         checkpoint.py  the `State` from which a run continues
writer.py      `Writer`: frame after frame          provenance.py  versions, processor, threads
reader.py      `Run` and `open_run`                 disk.py        disk trouble in words, atomic renames
frames.py      numbers against their checksums      lazy.py        `LazyArray`, one variable of a `Run`
seal.py        all but the frames against a digest  sound.py       HDF5 files that may come from anywhere
crc.py         CRC-32 of many rows at once          as_xarray.py   `Run.to_xarray`
lock.py        one writer at a time                 accept.py      files that a user changed on purpose
"""
