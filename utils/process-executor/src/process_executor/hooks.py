"""What this package mends in LocalStack and speeds up: the server here, the rest in `services`."""

import io
import sys
import tempfile
from functools import lru_cache, partial
from importlib.util import find_spec
from types import ModuleType
from typing import Any

import jsonpath_ng
import jsonpath_ng.ext
from localstack import config
from localstack.runtime import hooks
from localstack.runtime.server.twisted import TwistedRuntimeServer
from localstack.services.s3 import constants
from rolo.gateway import wsgi
from twisted.internet import endpoints
from twisted.internet.abstract import FileDescriptor
from twisted.web.http import HTTPFactory, Request
from werkzeug.wrappers import Request as Asked

FIRST = 1  # of the hooks, whose priority is 0
SENT_BYTES = 1 << 20
RECEIVED_BYTES = 1 << 18
IN_MEMORY_BYTES = 16 << 20  # of a request; twisted takes 100 KB, and writes longer ones to disk
IDLE_S = 24 * 3600

_register = TwistedRuntimeServer.register
_endpoint = endpoints.TCP4ServerEndpoint
_build_protocol = HTTPFactory.buildProtocol


@hooks.on_infra_start(  # type: ignore[untyped-decorator]
    should_load=lambda: config.LAMBDA_RUNTIME_EXECUTOR == "process", priority=FIRST
)
def mend_localstack() -> None:
    """LocalStack runs this before it opens a port and loads a service."""
    setattr(TwistedRuntimeServer, "register", listen_where_told)
    setattr(HTTPFactory, "buildProtocol", let_connections_idle)
    # A request that its environment knows stays, with its body, until the collector's next full round.
    setattr(wsgi, "Request", partial(Asked, populate_request=False))
    move_large_pieces()
    jsonpath_ng.parse = lru_cache(jsonpath_ng.parse)
    jsonpath_ng.ext.parse = lru_cache(jsonpath_ng.ext.parse)
    leave_batch_out()
    # Loaded here: services import what is set above.
    from process_executor import services

    services.mend()


def listen_where_told(
    server: Any, gateway: Any, listen: list[config.HostAndPort], ssl_creds: Any = None
) -> None:
    """Bind each address of GATEWAY_LISTEN; LocalStack binds every interface for an IPv4 one."""
    for address in listen:
        setattr(endpoints, "TCP4ServerEndpoint", partial(_endpoint, interface=address.host))
        _register(server, gateway, [address], ssl_creds)
    setattr(endpoints, "TCP4ServerEndpoint", _endpoint)


def let_connections_idle(factory: Any, address: Any) -> Any:
    """Let a connection idle for long: one that twisted closes after a minute, just as LocalStack's
    own client sends the next request on it, fails that request, which nobody retries.
    """
    factory.timeOut = IDLE_S
    return _build_protocol(factory, address)


def move_large_pieces() -> None:
    """Fewer thread switches for S3's objects, and fewer of them on disk."""
    constants.S3_CHUNK_SIZE = SENT_BYTES
    FileDescriptor.SEND_LIMIT = SENT_BYTES
    FileDescriptor.bufferSize = RECEIVED_BYTES
    setattr(Request, "gotLength", got_length)


def leave_batch_out() -> None:
    """Step Functions asks moto's package of AWS Batch for a list of words; the package would load
    all of EC2, too.
    """
    if "moto.batch" not in sys.modules and (moto := find_spec("moto")):
        batch = sys.modules["moto.batch"] = ModuleType("moto.batch")
        batch.__path__ = [f"{folder}/batch" for folder in moto.submodule_search_locations or ()]


def got_length(request: Any, length: int | None) -> None:
    in_memory = length is not None and length <= IN_MEMORY_BYTES
    request.content = io.BytesIO() if in_memory else tempfile.TemporaryFile()  # noqa: SIM115  # twisted closes it
