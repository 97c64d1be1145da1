"""One file, one label: each exports `SCENARIO`."""
