"""OpenVINO on the exported step graph, in fp32."""

from collections.abc import Callable
from pathlib import Path

import numpy as np

from peers.common import Case, Engine, Logits, Tokens, shared_objects


class OpenVino:
    name = "OpenVINO"
    precision = "fp32"
    packages: tuple[str, ...] = ("openvino",)
    archs: tuple[str, ...] = ("llama", "mamba")

    def prepare(self, case: Case) -> Path:
        return case.folder / "model.onnx"

    def open(self, case: Case, batch: int) -> Engine:
        return _Request(self.prepare(case), batch)

    def generate(self, case: Case, batch: int) -> Callable[[], object] | None:
        return None

    def library_bytes(self) -> int:
        import openvino

        # The runtime, the processor's plugin and the reader of ONNX, without the other devices and formats.
        libraries = Path(openvino.__file__).parent / "libs"
        wanted = ("libopenvino.so*", "libopenvino_intel_cpu_plugin*", "libopenvino_onnx*", "libtbb.so*")
        found = {p.resolve() for pattern in wanted for p in libraries.glob(pattern)}
        return sum(p.stat().st_size for p in found) or shared_objects(libraries)


class _Request:
    """Two requests that take turns: the states that one writes are the memory that the other reads."""

    def __init__(self, path: Path, batch: int) -> None:
        import openvino

        model = openvino.Core().read_model(str(path))
        model.reshape({i.any_name: [batch, *list(i.partial_shape)[1:]] for i in model.inputs})
        settings = {"INFERENCE_NUM_THREADS": 1, "NUM_STREAMS": 1, "PERFORMANCE_HINT": "LATENCY"}
        settings |= {"INFERENCE_PRECISION_HINT": "f32"}
        compiled = openvino.Core().compile_model(model, "CPU", settings)
        self._token, self._position = np.zeros(batch, np.int64), np.zeros(batch, np.int64)
        states = [[np.zeros(list(i.shape), np.float32) for i in compiled.inputs[2:]] for _ in range(2)]
        self._states, self._requests, self._logits = states, [], []
        for turn in range(2):
            request = compiled.create_infer_request()
            inputs = [self._token, self._position, *states[turn]]
            for i, array in enumerate(inputs):
                request.set_input_tensor(i, openvino.Tensor(array, shared_memory=True))
            logits = np.zeros(list(compiled.outputs[0].shape), np.float32)
            for i, array in enumerate([logits, *states[1 - turn]]):
                request.set_output_tensor(i, openvino.Tensor(array, shared_memory=True))
            self._requests.append(request)
            self._logits.append(logits)

    def start(self) -> None:
        """A row at position 0 starts anew, whatever its states hold."""

    def step(self, tokens: Tokens, position: int) -> Logits:
        self._token[:], self._position[:] = tokens, position
        turn = position % 2
        self._requests[turn].infer()
        return self._logits[turn]
