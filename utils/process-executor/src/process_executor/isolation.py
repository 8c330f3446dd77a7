"""Keep a LocalStack to itself: it listens where it was told to, and shares no file with another."""

from functools import partial
from typing import Any

from localstack import config
from localstack.runtime import hooks
from localstack.runtime.server.twisted import TwistedRuntimeServer
from twisted.internet import endpoints

from process_executor.workspace import scratch_folder

_register = TwistedRuntimeServer.register
_endpoint = endpoints.TCP4ServerEndpoint


@hooks.on_infra_start(should_load=lambda: config.LAMBDA_RUNTIME_EXECUTOR == "process")  # type: ignore[untyped-decorator]
def keep_to_itself() -> None:
    """LocalStack runs this before it opens a port and before it loads S3."""
    setattr(TwistedRuntimeServer, "register", register)
    keep_what_s3_stores()


def register(
    server: Any, gateway: Any, listen: list[config.HostAndPort], ssl_creds: Any = None
) -> None:
    """Bind each address of GATEWAY_LISTEN; LocalStack binds every interface for an IPv4 one."""
    for address in listen:
        setattr(endpoints, "TCP4ServerEndpoint", partial(_endpoint, interface=address.host))
        _register(server, gateway, [address], ssl_creds)
    setattr(endpoints, "TCP4ServerEndpoint", _endpoint)


def keep_what_s3_stores() -> None:
    """LocalStack's own folder, /tmp/localstack-s3-storage, is one for all users of a machine."""
    # Loaded here: the hook that sets the size of S3's pieces must have run.
    from localstack.services.s3.storage.ephemeral import EphemeralS3ObjectStore

    initialise = EphemeralS3ObjectStore.__init__

    def in_own_folder(store: EphemeralS3ObjectStore, root_directory: str | None = None) -> None:
        initialise(store, str(scratch_folder("s3")))

    setattr(EphemeralS3ObjectStore, "__init__", in_own_folder)
