"""Flows for whoever asks, on a gateway that has other things to do: `edgegen serve`, and `edgegen pipe`."""
