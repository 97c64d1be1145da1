"""Programmable controllers behind one Modbus address: `modbus_server.py SEED CERT KEY`, ports 502 and 802 (TLS)."""

import asyncio
import random
import ssl
import sys

from pymodbus.server import ModbusTcpServer, ModbusTlsServer
from pymodbus.simulator import DataType, SimData, SimDevice

seed, cert, key = int(sys.argv[1]), sys.argv[2], sys.argv[3]
DEVICES, REGISTERS = 4, 400


def device(number: int) -> SimDevice:
    """Coils, inputs and registers of one controller; registers beyond its last are answered with an exception."""
    rng = random.Random(f"{seed}/{number}")
    words = [rng.randrange(2**16) for _ in range(rng.randint(150, REGISTERS))]
    return SimDevice(number, SimData(0, values=words, datatype=DataType.REGISTERS))


async def main() -> None:
    devices = [device(number) for number in range(1, DEVICES + 1)]
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(cert, key)
    plain = ModbusTcpServer(devices, address=("0.0.0.0", 502))
    secure = ModbusTlsServer(devices, address=("0.0.0.0", 802), sslctx=tls)
    await asyncio.gather(plain.serve_forever(), secure.serve_forever())


asyncio.run(main())
