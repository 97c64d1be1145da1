"""Flows over HTTP, on a gateway that has other things to do: `edgegen serve`."""
