"""Time warm invocations of a function that does nothing, on the emulator at ENDPOINT."""

import io
import json
import time
import zipfile

from harness.target import emulator
from harness.functions import RUNTIME, WAIT

NAME = "noop-lambda"
SOURCE = "def lambda_handler(event, context):\n    pass\n"
WARM_UP = 20
INVOCATIONS = 200


def package() -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("noop.py", SOURCE)
    return buffer.getvalue()


def main() -> None:
    functions = emulator().client("lambda")
    functions.create_function(
        FunctionName=NAME,
        Role=emulator().role,
        Runtime=RUNTIME,
        Handler="noop.lambda_handler",
        MemorySize=128,
        Timeout=10,
        Code={"ZipFile": package()},
    )
    functions.get_waiter("function_active_v2").wait(FunctionName=NAME, WaiterConfig=WAIT)
    times_ms = []
    for _ in range(WARM_UP + INVOCATIONS):
        began = time.perf_counter()
        functions.invoke(FunctionName=NAME)["Payload"].read()
        times_ms.append((time.perf_counter() - began) * 1000)
    print(json.dumps(times_ms[WARM_UP:]))


if __name__ == "__main__":
    main()
