"""The APIs of both daemons for tests and the lab: their protos, compiled when first needed, over the box's unix sockets."""
from __future__ import annotations

import importlib
import sys
from pathlib import Path
from typing import Any, Iterator

from .shell import REPOSITORY, run

PROTO = "dataplane/api/dataplane.proto"
MANAGEMENT_PROTO = "controlplane/api/management.proto"
SERVICE = "/headgate.dataplane.v1.Dataplane/"
REQUESTS = {"Apply": "ApplyRequest", "Running": "RunningRequest", "Stats": "StatsRequest", "ListFlows": "FlowFilter", "ListConnections": "FlowFilter",
            "ClearFlows": "FlowFilter", "ClearSessions": "FlowFilter", "Explain": "ExplainRequest", "Neighbors": "NeighborsRequest"}
REPLIES = {"Apply": "ApplyReply", "Running": "RunningReply", "Stats": "StatsReply", "ListFlows": "FlowsReply", "ListConnections": "ConnectionsReply",
           "ClearFlows": "ClearFlowsReply", "ClearSessions": "ClearSessionsReply", "Explain": "ExplainReply", "Neighbors": "NeighborsReply"}


class DataplaneApi:
    def __init__(self, socket_path: Path, work_dir: Path) -> None:
        import grpc  # not before tools/setup has run
        self.messages = load_messages(work_dir, PROTO)
        # A restarted dataplane is found again within 100 ms, as the contract of the socket says.
        self.channel = grpc.insecure_channel(f"unix:{socket_path}", options=[
            ("grpc.max_receive_message_length", 256 << 20), ("grpc.initial_reconnect_backoff_ms", 100),
            ("grpc.min_reconnect_backoff_ms", 100), ("grpc.max_reconnect_backoff_ms", 100)])

    def call(self, method: str, timeout: float = 5, **fields: Any) -> Any:
        """One call by its name in the proto, e.g. call("Explain", protocol="tcp", ...)."""
        request = getattr(self.messages, REQUESTS[method])
        reply = getattr(self.messages, REPLIES[method])
        stub = self.channel.unary_unary(SERVICE + method, request.SerializeToString, reply.FromString)
        return stub(request(**fields), timeout=timeout)

    def capture(self, timeout: float = 30, **fields: Any) -> Iterator[Any]:
        stub = self.channel.unary_stream(SERVICE + "Capture", self.messages.CaptureRequest.SerializeToString,
                                         self.messages.CapturedPacket.FromString)
        return stub(self.messages.CaptureRequest(**fields), timeout=timeout)

    def failover(self, timeout: float = 2) -> Any:
        """FailoverState as it is now."""
        stub = self.channel.unary_stream(SERVICE + "WatchFailover", self.messages.WatchRequest.SerializeToString,
                                         self.messages.FailoverState.FromString)
        stream = stub(self.messages.WatchRequest(), timeout=timeout)
        try:
            return next(iter(stream))
        finally:
            stream.cancel()

    def drops(self) -> dict[str, int]:
        """Packets dropped so far by reason, over all workers."""
        total: dict[str, int] = {}
        for worker in self.call("Stats").worker:
            for drop in worker.drop:
                total[drop.reason] = total.get(drop.reason, 0) + drop.packets
        return total

    def close(self) -> None:
        self.channel.close()


def is_rpc_error(error: Exception) -> bool:
    grpc = sys.modules.get("grpc")  # not there before tools/setup has run, and then there is no such error
    return grpc is not None and isinstance(error, grpc.RpcError)


class ManagementApi:
    """The control plane's API as the console uses it: methods by name, messages by their place in management.proto."""

    def __init__(self, socket_path: Path, work_dir: Path) -> None:
        import grpc  # not before tools/setup has run
        self.messages = load_messages(work_dir, MANAGEMENT_PROTO)
        self.methods = self.messages.DESCRIPTOR.services_by_name["Management"].methods_by_name
        self.channel = grpc.insecure_channel(f"unix:{socket_path}", options=[
            ("grpc.max_receive_message_length", 256 << 20), ("grpc.initial_reconnect_backoff_ms", 100),
            ("grpc.min_reconnect_backoff_ms", 100), ("grpc.max_reconnect_backoff_ms", 100)])

    def commit(self, text: str, timeout: float = 30) -> Any:
        """CommitReply, when the dataplane runs it or will not."""
        return self.call("Commit", timeout, text=text)

    def configuration(self, timeout: float = 30) -> Any:
        """ConfigReply: the revision in force and its text."""
        return self.call("GetConfig", timeout)

    def call(self, method: str, timeout: float = 10, **fields: Any) -> Any:
        """One call, e.g. call("Commit", text=...); not for streams."""
        entry = self.methods[method]
        request, reply = (kind._concrete_class for kind in (entry.input_type, entry.output_type))
        stub = self.channel.unary_unary(f"/{entry.containing_service.full_name}/{method}", request.SerializeToString, reply.FromString)
        return stub(request(**fields), timeout=timeout)

    def events(self, timeout: float, **fields: Any) -> Any:
        """The stream of Events; iterate, or cancel()."""
        entry = self.methods["Events"]
        stub = self.channel.unary_stream(f"/{entry.containing_service.full_name}/Events",
                                         self.messages.EventsRequest.SerializeToString, self.messages.Event.FromString)
        return stub(self.messages.EventsRequest(**fields), timeout=timeout)

    def close(self) -> None:
        self.channel.close()


def load_messages(work_dir: Path, proto: str = PROTO) -> Any:
    work_dir.mkdir(parents=True, exist_ok=True)
    name = module_name(proto)
    if name not in sys.modules:
        run("protoc", f"--proto_path={REPOSITORY}", f"--python_out={work_dir}", *(str(REPOSITORY / p) for p in {PROTO, proto}))
        sys.path.insert(0, str(work_dir))
        try:
            return importlib.import_module(name)
        finally:
            sys.path.remove(str(work_dir))
    return sys.modules[name]


def module_name(proto: str) -> str:
    return proto.removesuffix(".proto").replace("/", ".") + "_pb2"
