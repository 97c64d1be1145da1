"""EdgeLab: real programs in network namespaces, captured and labelled. `python -m bench.lab --help`."""
