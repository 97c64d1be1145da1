"""ONNX Runtime on the exported step graph: in fp32, and in int8 as its own dynamic quantisation makes it."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from peers.common import Case, Engine, Logits, Tokens, shared_objects


class OnnxRuntime:
    name = "ONNX Runtime"
    packages: tuple[str, ...] = ("onnxruntime", "onnx")
    archs: tuple[str, ...] = ("llama", "mamba")

    def __init__(self, precision: str) -> None:
        self.precision = precision

    def prepare(self, case: Case) -> Path:
        if self.precision == "fp32":
            return case.folder / "model.onnx"
        from onnxruntime.quantization import QuantType, quantize_dynamic

        made = case.folder / "ort-int8.onnx"
        if not made.exists():
            quantize_dynamic(case.folder / "model.onnx", made, per_channel=True, weight_type=QuantType.QInt8)
        return made

    def open(self, case: Case, batch: int) -> Engine:
        return _Session(self.prepare(case), batch)

    def generate(self, case: Case, batch: int) -> Callable[[], object] | None:
        return None

    def library_bytes(self) -> int:
        import onnxruntime

        return shared_objects(Path(onnxruntime.__file__).parent)


class _Session:
    """Two bindings that take turns: the states that one writes are the memory that the other reads."""

    def __init__(self, path: Path, batch: int) -> None:
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        self._session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
        inputs, outputs = self._session.get_inputs(), self._session.get_outputs()

        def value(put: Any, kind: type) -> Any:
            shape = [size if isinstance(size, int) else batch for size in put.shape]
            return onnxruntime.OrtValue.ortvalue_from_numpy(np.zeros(shape, kind))

        self._ids = [value(put, np.int64) for put in inputs[:2]]
        states = [[value(put, np.float32) for put in inputs[2:]] for _ in range(2)]
        self._logits, self._bindings = [value(outputs[0], np.float32) for _ in range(2)], []
        for turn in range(2):
            binding = self._session.io_binding()
            for put, bound in zip(inputs, [*self._ids, *states[turn]], strict=True):
                binding.bind_ortvalue_input(put.name, bound)
            for put, bound in zip(outputs, [self._logits[turn], *states[1 - turn]], strict=True):
                binding.bind_ortvalue_output(put.name, bound)
            self._bindings.append(binding)

    def start(self) -> None:
        """A row at position 0 starts anew, whatever its states hold."""

    def step(self, tokens: Tokens, position: int) -> Logits:
        self._ids[0].update_inplace(tokens.astype(np.int64))
        self._ids[1].update_inplace(np.full(len(tokens), position, np.int64))
        turn = position % 2
        self._session.run_with_iobinding(self._bindings[turn])
        logits: Logits = self._logits[turn].numpy()
        return logits
