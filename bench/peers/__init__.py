"""Other engines for the same models, one file each: our weights in their format, their best settings, one thread."""
